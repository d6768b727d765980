"""The three forms of pyACL's return values: a code, a value, or a tuple of value and code.

Source: docs/reference/pyacl.md §4.1.
"""

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_recent = threading.local()


class AclError(Exception):
    """An error with AscendCL's code; `message` is for `acl.get_recent_err_msg`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def recent_message() -> str:
    """The last error message in this thread; reading clears it."""
    message: str = getattr(_recent, "message", "")
    _recent.message = ""
    return message


def note(error: AclError) -> int:
    """Keep the message of an error for `recent_message`; returns its code."""
    _recent.message = error.message
    return error.code


def _call(
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    default: Any,
    expected: type[AclError] = AclError,
    remember: Callable[[AclError], int] = note,
    finalizing: Callable[[], bool] = sys.is_finalizing,
) -> tuple[Any, int]:
    """Call a function; returns its value and a code.

    A program's `__del__` may call while the interpreter clears its modules (pyacl.md §4.1). That must not crash, so
    everything needed then is bound here as a default, and every failure gives a code.
    """
    try:
        return function(*args, **kwargs), 0
    except expected as error:
        return default, remember(error)
    except Exception:
        if not finalizing():
            raise
        return default, 100001


def code(function: Callable[P, None]) -> Callable[P, int]:
    """The function returns a code (`R`)."""
    call = _call

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        return call(function, args, kwargs, None)[1]

    return wrapper


def value(default: T) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """The function returns a value (`V`), which is `default` on errors."""
    call = _call

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            result: T = call(function, args, kwargs, default)[0]
            return result

        return wrapper

    return decorate


def value_and_code(*default: Any) -> Callable[[Callable[P, Any]], Callable[P, tuple[Any, ...]]]:
    """The function returns values and a code (`V,R`); the values are `default` on errors."""
    call, single = _call, len(default) == 1

    def decorate(function: Callable[P, Any]) -> Callable[P, tuple[Any, ...]]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, ...]:
            result, number = call(function, args, kwargs, default[0] if single else default)
            return (result, number) if single else (*result, number)

        return wrapper

    return decorate
