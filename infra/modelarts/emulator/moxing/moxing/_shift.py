"""`moxing.file.shift`: let Python's own file functions take addresses in object storage, and take that back."""

import builtins
import glob
import os
import shutil
from collections.abc import Callable
from typing import Any

from ._address import is_remote

_originals: list[tuple[Any, str, Any]] = []


def shift(source: str, target: str) -> None:
    """Let file functions take addresses, or with `shift("mox", "os")` only paths again.

    Raises:
        ValueError: other words.
    """
    if (source, target) == ("os", "mox"):
        if not _originals:
            for module, name, function in _functions():
                _originals.append((module, name, getattr(module, name)))
                setattr(module, name, _either(getattr(module, name), function))
    elif (source, target) == ("mox", "os"):
        while _originals:
            module, name, original = _originals.pop()
            setattr(module, name, original)
    else:
        raise ValueError(f"shift({source!r}, {target!r}): write shift('os', 'mox') or shift('mox', 'os')")


def _functions() -> list[tuple[Any, str, Callable[..., Any]]]:
    from . import file  # noqa: PLC0415 - it imports this module

    return [
        (builtins, "open", file.File),
        (os, "listdir", file.list_directory),
        (os, "makedirs", _make),
        (os, "mkdir", _make),
        (os, "remove", file.remove),
        (os, "unlink", file.remove),
        (os, "rename", file.rename),
        (os, "walk", file.walk),
        (os.path, "exists", file.exists),
        (os.path, "isdir", file.is_directory),
        (os.path, "isfile", lambda url: file.exists(url) and not file.is_directory(url)),
        (os.path, "getsize", file.get_size),
        (glob, "glob", lambda pattern, **_others: file.glob(pattern)),
        (shutil, "copy", file.copy),
        (shutil, "copyfile", file.copy),
        (shutil, "copytree", lambda source, target, **_others: file.copy_parallel(source, target)),
        (shutil, "rmtree", lambda url, *_others, **_more: file.remove(url, recursive=True)),
    ]


def _make(url: str, *_others: object, **_more: object) -> None:
    from . import file  # noqa: PLC0415 - it imports this module

    file.make_dirs(url)


def _either(original: Callable[..., Any], remote: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls `remote` when one of its first two arguments is an address."""

    def call(*arguments: Any, **named: Any) -> Any:
        addressed = any(is_remote(argument) for argument in (*arguments[:2], *named.values()))
        return (remote if addressed else original)(*arguments, **named)

    return call
