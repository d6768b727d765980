"""How `tune` searches: when a training is stopped early, and how many train at once."""

from typing import Literal

from pydantic import Field

from infra.settings.section import Section


class TuneSettings(Section):
    """The search for a better network or training."""

    prune: Literal["median", "halving", "none"] = Field(
        "median", description="the rule by which hopeless trainings are stopped early (tasks/tune/pruning.py)"
    )
    prune_after: int = Field(4, ge=1, description="trainings that the rule needs to compare with")
    prune_warmup: float = Field(0.25, ge=0, le=1, description="share of its epochs that a training always gets")
    threads: int = Field(
        0, ge=0, le=1024, description="cores of one training; 0: all, one at a time, with the receipts of `run`"
    )
