"""What is known of one error code of ATC."""

from dataclasses import dataclass

from infra.errors import AtlasFlowError, UserError


@dataclass(frozen=True)
class Code:
    """One error code.

    Attributes:
        text: the message, with named fields for its arguments.
        cause: why it happens.
        remedy: what to do next.
        error: the class that the client raises for it.
    """

    text: str
    cause: str
    remedy: str
    error: type[AtlasFlowError] = UserError
