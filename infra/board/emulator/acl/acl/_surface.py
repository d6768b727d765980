"""What a program sees: exactly the names of the binding, each with the binding's way to parse arguments.

A name without an implementation here returns the documented code for "not supported" (200001) in the binding's shape.
"""

import functools
import re
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from . import _codes
from ._arguments import parser
from ._shapes import AclError, note

_EMPTY: Mapping[str, Any] = {"N": None, "s": None, "O": {}, "f": 0.0}


class Surface:
    """An object in place of a module: at its end the interpreter empties modules, but not objects.

    A program's `__del__` may call `acl` then and needs the functions (docs/reference/pyacl.md §4.1).
    """

    def __init__(self, prefix: str, binding: str, *modules: ModuleType) -> None:
        """Show the binding's names.

        Args:
            prefix: the module as a program writes it, such as `acl.rt`.
            binding: the names, in the form of `_binding`.
            modules: the implementations, by the binding's names.
        """
        self.__name__ = prefix
        self.fill(binding, *modules)

    def fill(self, binding: str, *modules: ModuleType) -> None:
        """Add the binding's names, with what the modules implement of them."""
        prefix = self.__name__
        contents = {name: value for module in modules for name, value in vars(module).items()}
        for entry in binding.split():
            name, _, form = entry.partition(":")
            arguments, _, returns = form.partition(">")
            function = contents.get(name) or _unsupported(f"{prefix}.{name}", returns)
            self.__dict__[name] = _bound(f"{prefix}.{name}", arguments, function)


def keep(package: str) -> None:
    """Take the stand-in's own modules from the interpreter's reach: at its end it empties those of `sys.modules`.

    A board's library is there until the process ends, so a late `__del__` gets real codes there, and here.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{package}._") and isinstance(module, ModuleType):
            sys.modules[name] = _Kept(module)  # type: ignore[assignment]


class _Kept:
    """A module's contents, without being a module."""

    def __init__(self, module: ModuleType) -> None:
        self.__dict__ = vars(module)


def _bound(name: str, form: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind the binding's parser; keyword arguments are a TypeError, as for every C function."""
    parse = parser(name, form)

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        if keywords:
            raise TypeError(f"{name}() takes no keyword arguments")
        return function(*parse(arguments))

    return call


def _unsupported(name: str, returns: str) -> Callable[..., Any]:
    values: list[Any] = [_EMPTY.get(letter, 0) for letter in returns]
    has_code = returns.endswith("i") and (len(returns) > 1 or re.search(r"[._]get_", name) is None)

    def refuse(*_arguments: Any) -> Any:
        failure = note(AclError(_codes.API_NOT_SUPPORT, f"{name} is not supported by this stand-in"))
        answer = [*values[:-1], failure] if has_code else values
        return answer[0] if len(answer) == 1 else tuple(answer)

    refuse.__doc__ = "Not supported by the stand-in."
    return refuse
