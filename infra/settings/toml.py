"""TOML files of people, and TOML values on a command line: whatever is wrong with one is an error that names it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.errors import UserError

MAX_DEPTH = 8  # tables in tables; the settings have three


def read_toml_text(path: Path) -> str:
    """Read the text of a TOML file.

    Raises:
        UserError: it is not UTF-8, or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text: byte {error.start} is wrong", hint="correct it in an editor"
        ) from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}", hint="check what it is, and who may read it"
        ) from error


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Parse the text of a TOML file.

    Raises:
        UserError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and brackets in brackets
        raise UserError(f"{path} is not valid TOML: {error}", hint="correct it in an editor") from error


def nested(overrides: Mapping[str, str]) -> dict[str, Any]:
    """Build the tables that `section.key` names describe.

    Args:
        overrides: name to text; text that is a TOML value is read as one.

    Raises:
        UserError: a name is not one of a setting, or two of them contradict each other.
    """
    values: dict[str, Any] = {}
    for name, text in overrides.items():
        parts = name.split(".")
        if len(parts) == 1 or not all(parts):
            raise UserError(f"'{name}' is not a setting", hint="write section.key=value, such as train.epochs=3")
        if len(parts) > MAX_DEPTH:
            raise UserError(f"'{name[:80]}…' is not a setting", hint="`atlasflow settings` lists all of them")
        *parents, last = parts
        inner = values
        for depth, parent in enumerate(parents):
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise _contradiction(".".join(parents[: depth + 1]), name)
        if isinstance(inner.get(last), dict):
            raise _contradiction(name, next(other for other in overrides if other.startswith(f"{name}.")))
        inner[last] = _value(name, text)
    return values


def _contradiction(name: str, other: str) -> UserError:
    return UserError(f"{name} is given as a value, and as a table by {other}", hint="give one of them")


def _value(name: str, text: str) -> object:
    if "\0" in text:
        raise UserError(f"the value of {name} has a null character in it", hint="correct it")
    try:
        parsed = tomllib.loads(f"value = {text}")
        str(parsed)  # hexadecimal numbers of thousands of digits can be read, and not be shown
    except RecursionError as error:
        raise UserError(f"the value of {name} has too many brackets in brackets", hint="correct it") from error
    except ValueError:
        return text
    return parsed["value"] if len(parsed) == 1 else text  # more lines would be more settings
