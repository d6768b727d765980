"""`atlasflow settings`: list, explain and write the settings."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from flows.cli.completion import setting_names
from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_facts, print_json, print_line, print_table
from infra.errors import UserError
from infra.settings import Settings, load, nearest
from infra.settings.catalog import ANY_BOARD
from infra.settings.origin import Origins
from infra.store.atomic import write_text
from tasks.settings import Setting, every_setting, recipe_values
from tasks.settings_page import markdown, toml


class _Group(TyperGroup):
    """A group whose first word may be a pattern: then it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` in front of what is not a command."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Group, help="List, explain and write the settings: `atlasflow settings train` lists a group.")
Name = Annotated[str, typer.Argument(help="A setting, such as train.epochs.", autocompletion=setting_names)]


@dataclass(frozen=True)
class Row:
    """A setting as `settings --json` prints it; a secret shows only whether it is set."""

    name: str
    value: object
    source: str
    default: object
    type: str
    meaning: str
    stages: tuple[str, ...]


def register(parent: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("list", epilog="Examples: `atlasflow settings` · `atlasflow settings epochs`")(list_settings)
    app.command(epilog="Example: `atlasflow settings explain train.epochs`")(explain)
    app.command(epilog="Example: `atlasflow settings write atlasflow.toml`")(write)
    app.command(epilog="Example: `atlasflow settings page > docs/settings.md`")(page)
    parent.add_typer(app, name="settings")


def list_settings(
    pattern: Annotated[str, typer.Argument(help="A part of names or meanings; empty: all.")] = "",
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """List settings with their values, and where each value comes from."""
    rows = [row for row in _rows(profile, settings) if pattern.lower() in f"{row.name} {row.meaning}".lower()]
    if not rows:
        raise UserError(f"no setting has '{pattern}' in its name or meaning", hint="`atlasflow settings` lists all")
    if as_json:
        print_json(rows)
        return
    print_table(("setting", "value", "from", "meaning"), [(r.name, _shown(r.value), r.source, r.meaning) for r in rows])
    print_line("`atlasflow settings explain NAME` says more about one; change it with --set NAME=VALUE.")


def explain(name: Name, profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Explain one setting: type, default, meaning, which stages it changes, and how to set it."""
    rows = {row.name: row for row in _rows(profile, settings)}
    row = rows.get(name)
    if row is None:
        raise UserError(f"unknown setting '{name}'{nearest(name, rows)}", hint="`atlasflow settings` lists all")
    if as_json:
        print_json(row)
        return
    print_line(f"{row.name}: {row.meaning}", style="bold")
    variable = f"ATLASFLOW_{row.name.replace('.', '__').upper()}"
    print_facts(
        [
            ("value", f"{_shown(row.value) or 'empty'} ({row.source})"),
            ("default", _shown(row.default) or "empty"),
            ("type", row.type),
            ("changes", ", ".join(row.stages) or "no stage: nothing runs again"),
            ("set it by", variable if row.type == "secret" else f"--set {row.name}=VALUE, or {variable}"),
        ]
    )


def write(
    path: Annotated[Path, typer.Argument(help="The profile to write.")] = Path("atlasflow.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a profile that lists every setting as a comment, with its default and meaning."""
    if path.exists() and not force:
        raise UserError(f"{path} exists", hint="choose another name, or give --force")
    write_text(path, toml(every_setting()))
    print_line(f"{path}: remove the # of a line to change it, then run `atlasflow run --profile {path}`")


def page() -> None:
    """Print the page of all settings, which is docs/settings.md."""
    print(markdown(every_setting()), end="")


def _rows(profile: str, settings: list[str] | None) -> list[Row]:
    overrides = parse_overrides(settings)
    loaded = load(profile, overrides)
    origins, recipe = Origins(profile, overrides), recipe_values(loaded)
    rows = []
    for setting in every_setting():
        boards = loaded.boards if f".{ANY_BOARD}." in setting.entry.name else [""]
        rows += [_row(setting, board, loaded, recipe, origins) for board in boards]
    return rows


def _row(setting: Setting, board: str, loaded: Settings, recipe: dict[str, object], origins: Origins) -> Row:
    entry = setting.entry
    name = entry.name.replace(f".{ANY_BOARD}.", f".{board}.")
    source = origins.of(name)
    if name in recipe:
        source = f"recipe {loaded.train.recipe}" if source == "default" else source
    value = recipe[name] if name in recipe else _value(loaded, name.split("."))
    if entry.secret:
        value = "set" if source != "default" else ""
    stages = (*setting.stages, *filter(None, [setting.gate]))
    return Row(name, value, source, entry.default, entry.type, entry.meaning, stages)


def _value(loaded: Any, path: list[str]) -> object:
    for part in path:
        loaded = loaded[part] if isinstance(loaded, dict) else getattr(loaded, part)
    return loaded


def _shown(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=list)
