"""The three shapes in which pyACL answers (ascend-domain.md §4.1): a code, a value, or a tuple of value and code."""

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from . import _codes

P = ParamSpec("P")
T = TypeVar("T")

_recent = threading.local()


class AclError(Exception):
    """Something that AscendCL answers with a code; `message` is for `acl.get_recent_err_msg`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def recent_message() -> str:
    """What went wrong last in this thread; reading it forgets it."""
    message: str = getattr(_recent, "message", "")
    _recent.message = ""
    return message


def note(error: AclError) -> int:
    """Keep the message of an error for `recent_message`; returns its code."""
    _recent.message = error.message
    return error.code


def code(function: Callable[P, None]) -> Callable[P, int]:
    """The function answers with a code alone (`R`)."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            function(*args, **kwargs)
        except AclError as error:
            return note(error)
        return _codes.SUCCESS

    return wrapper


def value(default: T) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """The function answers with a value alone (`V`), which is `default` when something is wrong."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except AclError as error:
                note(error)
                return default

        return wrapper

    return decorate


def value_and_code(*default: Any) -> Callable[[Callable[P, Any]], Callable[P, tuple[Any, ...]]]:
    """The function answers with values and a code (`V,R`); the values are `default` when something is wrong."""

    def decorate(function: Callable[P, Any]) -> Callable[P, tuple[Any, ...]]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, ...]:
            try:
                result = function(*args, **kwargs)
            except AclError as error:
                return (*default, note(error))
            return (*(result if len(default) > 1 else (result,)), _codes.SUCCESS)

        return wrapper

    return decorate
