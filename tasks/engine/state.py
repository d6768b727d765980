"""What the receipts say of a stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from infra.store.receipts import Receipt
from tasks.engine.diff import Reason

State = Literal["fresh", "stale", "missing"]


@dataclass(frozen=True)
class StageState:
    """What the receipts say of a stage.

    Attributes:
        stage: its name.
        state: `fresh` has a verified receipt, `stale` ran before, `missing` never ran.
        reason: why.
        key: of the present ingredients; None while an input is missing.
        ingredients: what the key is made of.
        receipt: of this key, when its outputs are whole.
    """

    stage: str
    state: State
    reason: Reason
    key: str | None = None
    ingredients: Mapping[str, Any] | None = None
    receipt: Receipt | None = None
