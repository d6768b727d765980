"""The fleet file: the boards of an installation, in TOML that people and commands edit.

    [boards.porch]
    address = "192.168.1.2"
    soc = "Ascend310"
    host_key = "ssh-ed25519 AAAA…"
    labels = ["home"]

It is a source of settings below the profile: where both set a key of a board, the profile wins. Commands change only
the keys that they set; comments, order and layout of the file survive.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from infra.errors import AtlasFlowError, UserError
from infra.settings.boards import BoardSettings
from infra.settings.toml import parse_toml, read_toml_text
from infra.store.atomic import write_text
from infra.store.locks import hold

if TYPE_CHECKING:
    from tomlkit.items import AbstractTable

BUILT_IN = "laptop"  # the stand-in, which needs no entry
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SECRETS = ("password",)

Value = str | int | tuple[str, ...]


def read_fleet(path: Path) -> dict[str, dict[str, Any]]:
    """Read the boards of the fleet file by name, in the order of the file; none when there is no file.

    Raises:
        UserError: the file is not TOML, or contains anything but `[boards.NAME]` tables.
    """
    return _parse(read_toml_text(path), path) if path.exists() else {}


def edit_board(path: Path, name: str, values: Mapping[str, Value], *, new: bool = False) -> None:
    """Set keys of one board in the fleet file. The file is replaced atomically, and concurrent writers take turns.

    Args:
        path: the fleet file; created when it does not exist.
        name: the board's name.
        values: keys of `BoardSettings` to their new values.
        new: the board must not exist yet.

    Raises:
        UserError: a bad name or value, or a board that exists already.
    """
    _check(name, values)
    with hold(path.with_name(f".{path.name}.lock")):
        text = read_toml_text(path) if path.exists() else ""
        before = _parse(text, path)
        if new and name in before:
            raise UserError(f"{path} has a board '{name}' already", hint="choose another name, or edit the file")
        edited = _edit(text, name, values)
        lists = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
        if _parse(edited, path) != {**before, name: {**before.get(name, {}), **lists}}:
            raise AtlasFlowError(f"{path} was not changed: the edit of board '{name}' would damage it")
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
    content = parse_toml(text, path)
    boards = content.get("boards", {})
    if set(content) - {"boards"} or not isinstance(boards, dict):
        raise UserError(f"{path} may contain only [boards.NAME] tables", hint="other settings belong in a profile")
    others = [name for name, board in boards.items() if not isinstance(board, dict)]
    if others:
        raise UserError(f"{path}: '{others[0]}' is not a table", hint="write [boards.NAME] above the keys of a board")
    return boards


def _edit(text: str, name: str, values: Mapping[str, Value]) -> str:
    """Set the keys in the board's table, which is added at the end when there is none."""
    import tomlkit  # noqa: PLC0415 - only edits need it
    from tomlkit.items import AbstractTable, InlineTable  # noqa: PLC0415

    document = tomlkit.parse(text)
    boards = document.setdefault("boards", tomlkit.table(is_super_table=True))
    board = boards.setdefault(name, tomlkit.inline_table() if isinstance(boards, InlineTable) else tomlkit.table())
    comments = _pop_trailing_comments(board) if isinstance(board, AbstractTable) else []
    for key, value in values.items():
        board[key] = value
    if comments:
        board.value.body.extend(comments)
    return tomlkit.dumps(document)


def _pop_trailing_comments(table: "AbstractTable") -> list[Any]:
    """Remove the comments and empty lines after the last key; they belong to the next table."""
    body = table.value.body
    comments: list[Any] = []
    while body and body[-1][0] is None:
        comments.insert(0, body.pop())
    return comments
