"""The tree of errors; the class of an error is the exit code of the command.

    AtlasFlowError      1   a bug in AtlasFlow
    ├── UserError       2   a bad setting or bad input
    ├── GateFailed      3   a gate stopped the chain
    ├── Refused         4   an external system refused permanently
    ├── Transient       5   may pass on a retry; raised when all retries have failed
    └── Corrupt         6   bytes do not match their digest

Errors of libraries are converted to these where the library is called.
"""


class AtlasFlowError(Exception):
    """An error with a message for people.

    Args:
        message: what happened, and to what.
        hint: what to do next.
        board: the board that it is about; empty for none.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", board: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.board = board

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


class UserError(AtlasFlowError):
    """A setting or an input is wrong."""

    exit_code = 2


class GateFailed(AtlasFlowError):
    """A gate stopped the chain."""

    exit_code = 3


class Refused(AtlasFlowError):
    """An external system refused permanently: no permission, not found, incompatible."""

    exit_code = 4


class Transient(AtlasFlowError):
    """An external system failed in a way that often passes: timeout, overload, lost connection.

    Attributes:
        retried: `infra.retry.retry` has used up its attempts on it, so no other loop tries again.
        after: seconds that the other side asks to wait before the next attempt (`Retry-After`); 0 when it does not.
    """

    exit_code = 5
    retried = False
    after = 0.0


class Corrupt(AtlasFlowError):
    """Bytes do not match their digest, or a file is damaged.

    Attributes:
        files: the damaged files, where they are known.
    """

    exit_code = 6
    files: tuple[str, ...] = ()
