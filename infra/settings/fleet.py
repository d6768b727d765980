"""The fleet file: the boards of an installation, kept as TOML that people and commands edit alike.

    [boards.porch]
    address = "192.168.1.2"
    soc = "Ascend310"
    host_key = "ssh-ed25519 AAAA…"
    labels = ["home"]

It is a source of settings below the profile: a profile that says something else of a board wins. Commands change only
the lines that they mean and leave comments and layout alone.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infra.errors import UserError
from infra.settings.boards import BoardSettings
from infra.store.atomic import write_text
from infra.store.locks import hold

BUILT_IN = "laptop"  # the stand-in that is there without an entry
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HEADER = re.compile(r"\s*\[")
_ENTRY = re.compile(
    r"""[^=]+=\s*("([^"\\]|\\.)*"|'[^']*'|\[[^]#]*\]|[^#"'\[]+?)(?P<comment>\s*\#.*)?""",
)
_SECRETS = ("password",)
DELETE, ESCAPED_DELETE = "\x7f", "\\u007f"  # the one character that JSON allows in a text and TOML does not

Value = str | int | tuple[str, ...]


def read_fleet(path: Path) -> dict[str, dict[str, Any]]:
    """The boards of the fleet file by name, in the order of the file; none when there is no file.

    Raises:
        UserError: the file is not TOML, or holds something else than `[boards.NAME]` tables.
    """
    return _parse(path.read_text(encoding="utf-8"), path) if path.exists() else {}


def edit_board(path: Path, name: str, values: Mapping[str, Value], *, new: bool = False) -> None:
    """Set keys of one board in the fleet file, whole or not at all; two writers take turns.

    Args:
        path: the fleet file; made when it is not there.
        name: the board's name.
        values: keys of `BoardSettings` to their new values.
        new: the board must not be there yet.

    Raises:
        UserError: a bad name or value, a board that is there already, or a file that cannot be edited by lines.
    """
    _check(name, values)
    with hold(path.with_name(f".{path.name}.lock")):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        before = _parse(text, path)
        if new and name in before:
            raise UserError(f"{path} has a board '{name}' already", hint="take another name, or edit the file")
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
        wanted = {**before, name: {**before.get(name, {}), **plain}}
        edited = _edit(text, name, values)
        try:
            understood = tomllib.loads(edited).get("boards") == wanted
        except tomllib.TOMLDecodeError:
            understood = False
        if not understood:
            raise UserError(
                f"the table of board '{name}' in {path} is written in a way that cannot be edited here",
                hint="write it as [boards.NAME] with one key a line, or make the change by hand:\n"
                + "\n".join(_lines(values)),
            )
        write_text(path, edited)


def _check(name: str, values: Mapping[str, Value]) -> None:
    if not NAME.fullmatch(name):
        raise UserError(f"'{name}' cannot name a board", hint="use lower-case letters, digits and -")
    if any(key in values for key in _SECRETS):
        raise UserError("a password is not written into the fleet file", hint="use a key")
    try:
        BoardSettings.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors(include_url=False))
        raise UserError(f"board '{name}' cannot be written: {problems}") from error


def _parse(text: str, path: Path) -> dict[str, dict[str, Any]]:
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    boards = said.get("boards", {})
    if set(said) - {"boards"} or not isinstance(boards, dict):
        raise UserError(f"{path} may hold only [boards.NAME] tables", hint="other settings belong into a profile")
    strangers = [name for name, board in boards.items() if not isinstance(board, dict)]
    if strangers:
        raise UserError(f"{path}: '{strangers[0]}' is no table", hint="write [boards.NAME] above a board's keys")
    return boards


def _edit(text: str, name: str, values: Mapping[str, Value]) -> str:
    """Replace or add lines in the board's table, or add the table at the end."""
    lines = text.splitlines()
    header = re.compile(rf"\s*\[\s*boards\s*\.\s*(\"{name}\"|'{name}'|{name})\s*\]\s*(#.*)?")
    begin = next((index for index, line in enumerate(lines) if header.fullmatch(line)), None)
    if begin is None:
        above = [""] if lines and lines[-1].strip() else []
        return "\n".join([*lines, *above, f"[boards.{name}]", *_lines(values)]) + "\n"
    end = next((index for index in range(begin + 1, len(lines)) if _HEADER.match(lines[index])), len(lines))
    table = lines[begin:end]
    for key, line in zip(values, _lines(values), strict=True):
        place = next((index for index, old in enumerate(table) if re.match(rf"\s*{key}\s*=", old)), None)
        if place is None:
            last = max(index for index, old in enumerate(table) if old.strip() and not old.lstrip().startswith("#"))
            table.insert(last + 1, line)
        else:
            old = _ENTRY.fullmatch(table[place])
            table[place] = line + (old["comment"] or "" if old else "")
    return "\n".join([*lines[:begin], *table, *lines[end:]]) + "\n"


def _lines(values: Mapping[str, Value]) -> list[str]:
    """`key = value` in TOML: a JSON number, text or array of texts is one."""
    return [
        f"{key} = {json.dumps(value, ensure_ascii=False).replace(DELETE, ESCAPED_DELETE)}"
        for key, value in values.items()
    ]
