"""The settings as a page of the documentation, and as a profile to edit."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from infra.settings.catalog import ANY_BOARD, sections
from tasks.settings import Setting

_HEAD = """# Settings

Written by `atlasflow settings page`; the meanings stand with the settings in `infra/settings/`, and those of a recipe's
fields in `models/spec/train_spec.py`.

A value comes from, highest first: `--set NAME=VALUE`, a variable (`ATLASFLOW_TRAIN__EPOCHS`), a secret file in the
folder that `ATLASFLOW_SECRETS_DIR` names, the profile (`--profile`), the fleet file (boards only), the default.
`atlasflow settings` lists the values of an invocation and their origins, `atlasflow settings explain train.epochs`
explains one, and `atlasflow settings write` writes a profile with every setting as a comment. A list is written `a,b`.
Secrets are taken from variables and secret files only.

A change runs the stages of the last column again, and what follows them where their bytes differ.
"""


def markdown(settings: Sequence[Setting]) -> str:
    """The page: a table for each group."""
    meanings, parts = sections(), [_HEAD]
    for section, group in groupby(settings, lambda item: item.entry.section):
        parts.append(f"\n## {section}\n\n{meanings[section][0].upper()}{meanings[section][1:]}.\n")
        parts.append("\n| setting | default | type | meaning | changes |\n|---|---|---|---|---|\n")
        parts += [f"| {' | '.join(_cells(item))} |\n" for item in group]
    return "".join(parts)


def _cells(setting: Setting) -> Iterator[str]:
    entry = setting.entry
    yield f"`{entry.name}`"
    yield "" if entry.default in (None, "") else f"`{_plain(entry.default)}`"
    for text in (entry.type, entry.meaning, ", ".join((*setting.stages, *filter(None, [setting.gate])))):
        yield text.replace("|", "\\|")


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).strip('"').replace("|", "\\|")


def toml(settings: Sequence[Setting]) -> str:
    """A profile whose every line is a comment, so that it changes nothing until it is edited."""
    lines = ["# Settings of AtlasFlow. Remove the # of a line, and of the table above it, to change a value."]
    tables = groupby(settings, lambda item: item.entry.name.rpartition(".")[0].replace(ANY_BOARD, "laptop"))
    for table, group in tables:
        lines += ["", f"[{table}]" if "boards" not in table else f"# [{table}]"]
        for entry in (item.entry for item in group):
            if entry.secret:
                continue
            key = entry.name.rpartition(".")[2]
            value = "" if entry.default is None else json.dumps(entry.default, ensure_ascii=False)
            lines += [f"# {entry.meaning} ({entry.type})", f"# {key} = {value}".rstrip()]
    return "\n".join(lines) + "\n"
