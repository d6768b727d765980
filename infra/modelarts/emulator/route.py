"""A parsed request, and the route that handles it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.modelarts.emulator.errors import ApiError, ErrorCode


@dataclass(frozen=True)
class Call:
    """One parsed request: values in the path, the query, the body, and its content type."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    content_type: str

    def json(self) -> object:
        """Parse the body as JSON.

        Raises:
            ApiError: it is not JSON.
        """
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise ApiError(ErrorCode.INVALID_JSON, "the body is not JSON") from None

    def number(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """Return a whole number from the query.

        Raises:
            ApiError: it is not a number, or out of range.
        """
        text = self.query.get(name, str(default))
        if not re.fullmatch(r"-?\d{1,9}", text) or not minimum <= int(text) <= maximum:
            raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} must be between {minimum} and {maximum}")
        return int(text)


Answer = tuple[int, object]
"""HTTP status and JSON value of the body; None for an empty body."""


@dataclass(frozen=True)
class Route:
    """One call of the API: its name in fault plans, its method, its path with `{values}`, and its handler."""

    name: str
    method: str
    path: str
    handler: Callable[[Call], Answer]

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the values in a path; None when it is another path."""
        match = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path), path)
        return None if match is None else match.groupdict()
