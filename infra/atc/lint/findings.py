"""A finding of the lint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Level(Enum):
    """What a finding means for the compilation."""

    ERROR = "error"
    """ATC refuses the model, or compiles something else than was meant."""
    FIXED = "fixed"
    """It was put right in the copy that is compiled."""
    NOTE = "note"
    """It compiles; somebody should know."""


class Rule(Enum):
    """The rule that found it."""

    FILE = "file"
    DOMAINS = "domains"
    OPSET = "opset"
    CHIP = "chip"
    OPERATOR = "operator"
    SUBGRAPH = "subgraph"
    DATA_SHAPE = "data-shape"
    TRAINING = "training"
    RANDOM = "random"
    TYPE = "type"
    WEIGHTS = "weights"
    NAMES = "names"
    DIMENSIONS = "dimensions"
    FOLDED = "folded"
    INPUT = "input"
    OUTPUT = "output"
    CRASH = "crash"
    NUMBERS = "numbers"
    KERNELS = "kernels"
    MACHINE = "machine"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        rule: that found it.
        level: what it means.
        what: what was found, and where in the model.
        remedy: for an error, what to do; for a fix, what was done.
    """

    rule: Rule
    level: Level
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.level.value}: {self.what}" + (f" → {self.remedy}" if self.remedy else "")

    def to_json(self) -> dict[str, str]:
        """Write the JSON form."""
        return {"rule": self.rule.value, "level": self.level.value, "what": self.what, "remedy": self.remedy}


def errors(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that prevent a compilation."""
    return [finding for finding in findings if finding.level is Level.ERROR]


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list, for a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
