"""Conversion of receipts from older schemas to the current one; receipts are never deleted.

A change of a receipt's file increases `SCHEMA` and adds a step from the previous schema to `STEPS`; a step that is
impossible for a receipt raises `CannotUpgrade`. `INGREDIENTS` is a part of every key, so increasing it makes every
stage run again; it belongs to a change of the ingredients of keys.
"""

from collections.abc import Callable, Mapping
from typing import Any

SCHEMA = 1
INGREDIENTS = 1

Body = dict[str, Any]


class CannotUpgrade(Exception):
    """An older receipt lacks what the current schema needs; the text says what is missing."""


STEPS: Mapping[int, Callable[[Body], Body]] = {}
"""Schema to the step to the next one, which returns a new body and leaves the number alone."""


def upgraded(body: Body) -> Body:
    """Return the body of a receipt in the current schema.

    Args:
        body: of this schema or an older one, without its seal.

    Raises:
        CannotUpgrade: there is no step from its schema.
    """
    while body["schema"] != SCHEMA:
        number = body["schema"]
        if number not in STEPS:
            raise CannotUpgrade(f"nothing is known of schema {number}")
        body = {**STEPS[number](body), "schema": number + 1}
    return body
