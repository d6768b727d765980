"""Every setting of the models in this folder, with name, type, default and meaning."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from infra.settings.all import Settings
from infra.settings.boards import BoardSettings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

ANY_BOARD = "NAME"
_WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", SecretStr: "secret"}
_LIMITS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))


@dataclass(frozen=True)
class Entry:
    """One setting.

    Attributes:
        name: as on the command line, such as `train.recipe`; a board's are `boards.NAME.port`.
        type: in words.
        default: as a JSON value; None where there is none, and for secrets.
        meaning: what it does.
        choices: the values that it may have, where they are few.
        secret: it comes from the environment or a secret file only.
    """

    name: str
    type: str
    default: object
    meaning: str
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def section(self) -> str:
        """The group that it belongs to."""
        return self.name.partition(".")[0]


def entries() -> Iterator[Entry]:
    """List every setting, in the order of the models; the fields of recipes are not among them."""
    yield from _entries(Settings, "")


def sections() -> Mapping[str, str]:
    """Meaning of each group."""
    return {name: field.description or "" for name, field in Settings.model_fields.items()}


def _entries(model: type[BaseModel], prefix: str) -> Iterator[Entry]:
    for key, field in model.model_fields.items():
        name = f"{prefix}{key}"
        if name == "boards":
            yield from _entries(BoardSettings, f"boards.{ANY_BOARD}.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _entries(field.annotation, f"{name}.")
        else:
            yield _entry(name, field)


def _entry(name: str, field: FieldInfo) -> Entry:
    secret = field.annotation in (SecretStr, dict[str, SecretStr])
    default = None if secret or field.is_required() else field.default
    if isinstance(default, tuple):
        default = list(default)
    described = ", ".join([_words(field.annotation), *_limits(field)])
    return Entry(name, described, default, field.description or "", tuple(_choices(field.annotation)), secret)


def _limits(field: FieldInfo) -> Iterator[str]:
    for item in field.metadata:
        for key, words in _LIMITS:
            limit = getattr(item, key, None)
            if isinstance(limit, int | float):
                yield f"{words} {limit:,}"


def _words(kind: Any) -> str:
    origin, inner = get_origin(kind), [item for item in get_args(kind) if item is not Ellipsis]
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin is tuple:
        return f"list of {_words(inner[0])}"
    if origin is dict:
        return f"table of {_words(inner[1])}"
    if origin in (Union, types.UnionType):
        return " or ".join(_words(item) for item in inner if item is not type(None))
    return _WORDS.get(kind, str(getattr(kind, "__name__", kind)))


def _choices(kind: Any) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from map(str, get_args(kind))
    elif kind is bool:
        yield from ("true", "false")
    elif get_origin(kind) is tuple:
        yield from _choices(get_args(kind)[0])
