"""What `atlasflow doctor` finds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The result of one check: `good`, `note` (works, but worth knowing) or `wrong`."""

    check: str
    level: Literal["good", "note", "wrong"]
    found: str
    hint: str = ""
