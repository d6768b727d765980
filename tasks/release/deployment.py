"""The result of a deployment: values, and their one JSON form, `boards.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from infra.ports.board import BoardFacts, SmokeResult

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class DeployedBoard:
    """The result of the deployment to one board.

    Attributes:
        facts: of the board, before the deployment.
        changed: False when the release was active already.
        bytes_sent: size of the files sent.
        smoke: result of the smoke test; None when the board no longer has it.
    """

    facts: BoardFacts
    changed: bool
    bytes_sent: int
    smoke: SmokeResult | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DeployedBoard:
        """Read the JSON form."""
        smoke = SmokeResult.from_json(value["smoke"]) if value["smoke"] else None
        return cls(BoardFacts(**value["facts"]), value["changed"], value["bytes_sent"], smoke)

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        smoke = {} if self.smoke is None else self.smoke.to_json()
        facts = asdict(self.facts)
        return {"facts": facts, "changed": self.changed, "bytes_sent": self.bytes_sent, "smoke": smoke}


@dataclass(frozen=True)
class Deployment:
    """A release on boards."""

    release: str
    boards: Mapping[str, DeployedBoard]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Deployment:
        """Read the JSON form."""
        return cls(value["release"], {name: DeployedBoard.from_json(board) for name, board in value["boards"].items()})

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        return {"release": self.release, "boards": {name: board.to_json() for name, board in self.boards.items()}}
