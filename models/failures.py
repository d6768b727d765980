"""Failures of a command of `models/main.py`, with exit codes.

Failure
├── InputError    user       2   invalid specification or input
│   └── SpecError                … a field of the training specification
├── Refusal       refused    4   this machine does not support it
├── Interruption  transient  5   may succeed when repeated
└── Damage        corrupt    6   a file is damaged
"""


class Failure(Exception):
    """A failure with advice.

    Args:
        message: what happened, to which object.
        hint: what to do next.
    """

    kind = ""
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(Failure):
    """A specification, an argument or an input is invalid."""

    kind = "user"
    exit_code = 2


class SpecError(InputError):
    """A field of the training specification is invalid; the message names it."""


class Refusal(Failure):
    """This machine or this format does not support the request."""

    kind = "refused"
    exit_code = 4


class Interruption(Failure):
    """A temporary problem: a full disk, another training in the same folder."""

    kind = "transient"
    exit_code = 5


class Damage(Failure):
    """A file is damaged."""

    kind = "corrupt"
    exit_code = 6
