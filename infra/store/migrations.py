"""From the schemas of older AtlasFlows to the present one: receipts are read anew, never deleted.

Whoever changes what the file of a receipt says raises `SCHEMA` and adds the step from the schema before to `STEPS`; one
that cannot be made for a receipt raises `CannotUpgrade`. `INGREDIENTS` is another number: it is part of every key, so
raising it makes every stage run again, and belongs to a change of what a key is made of.
"""

from collections.abc import Callable, Mapping
from typing import Any

SCHEMA = 1
INGREDIENTS = 1

Body = dict[str, Any]


class CannotUpgrade(Exception):
    """What an older receipt says is not enough for the present schema; the text says what is missing."""


STEPS: Mapping[int, Callable[[Body], Body]] = {}
"""From a schema to the next one; a step gives a new body and leaves the number alone."""


def upgraded(body: Body) -> Body:
    """The body of a receipt in the present schema.

    Args:
        body: of this schema or an older one, without its seal.

    Raises:
        CannotUpgrade: there is no way from its schema to this one.
    """
    while body["schema"] != SCHEMA:
        number = body["schema"]
        if number not in STEPS:
            raise CannotUpgrade(f"nothing is known of schema {number}")
        body = {**STEPS[number](body), "schema": number + 1}
    return body
