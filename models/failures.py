"""How a command of `models/main.py` can fail, and the exit code that says so.

Failure
├── InputError    user       2   a bad specification or bad input
│   └── SpecError                … a field of the training specification
├── Refusal       refused    4   this machine cannot do it, and will not be able to later
├── Interruption  transient  5   worth another try
└── Damage        corrupt    6   bytes are not what they should be
"""


class Failure(Exception):
    """Something that a person can act on.

    Args:
        message: what happened, and to which thing.
        hint: what to do next.
    """

    kind = ""
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(Failure):
    """A specification, an argument or an input is wrong."""

    kind = "user"
    exit_code = 2


class SpecError(InputError):
    """A field of the training specification is wrong; the message names it."""


class Refusal(Failure):
    """This machine or this format cannot do it."""

    kind = "refused"
    exit_code = 4


class Interruption(Failure):
    """Something that may work next time: a full disk, another training in the same folder."""

    kind = "transient"
    exit_code = 5


class Damage(Failure):
    """A file is damaged."""

    kind = "corrupt"
    exit_code = 6
