"""The one error of the remote side."""


class Problem(Exception):
    """Something that a person should hear.

    Args:
        kind: user, gate, refused, transient or corrupt; chooses the class of error that the client raises.
        message: what happened.
        hint: what to do next.
    """

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
