"""Options that many commands share."""

from typing import Annotated

import typer

from flows.cli import completion
from infra.errors import UserError

Profile = Annotated[
    str,
    typer.Option(
        help="A shipped profile (local, twin, cloud), or a TOML file; in a project, its own.",
        autocompletion=completion.profiles,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A setting, such as `train.epochs=3`; may be given several times. `atlasflow settings` lists them.",
        autocompletion=completion.setting_values,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def parse_overrides(settings: list[str] | None) -> dict[str, str]:
    """Read `section.key=value` texts into a mapping.

    Raises:
        UserError: a text without `=`.
    """
    overrides = {}
    for text in settings or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"'{text}' is not a setting", hint="write --set section.key=value")
        overrides[name.strip()] = value.strip()
    return overrides


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """Read `name=value` texts, with or without dashes before the name, into a mapping in their order.

    Raises:
        UserError: a text without name or `=`, or a name that is given twice.
    """
    found: dict[str, str] = {}
    for text in texts or []:
        name, equals, value = text.removeprefix("--").partition("=")
        if not equals or not name:
            raise UserError(f"'{text}' is not a parameter", hint=f"write {option} name=value")
        if name in found:
            raise UserError(f"{option} {name} is given twice", hint="give each once")
        found[name] = value
    return found
