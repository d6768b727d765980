"""Settings of the search for a better network or training."""

from typing import Literal

from pydantic import Field

from infra.settings.section import Section


class TuneSettings(Section):
    """The search of `tune`: early stopping, and trainings at the same time."""

    prune: Literal["median", "halving", "none"] = Field(
        "median", description="rule that stops hopeless trainings early (tasks/tune/pruning.py)"
    )
    prune_after: int = Field(4, ge=1, description="trainings that the rule needs for comparison")
    prune_warmup: float = Field(0.25, ge=0, le=1, description="share of its epochs that each training runs at least")
    threads: int = Field(
        0, ge=0, le=1024, description="cores of one training; 0: all, one at a time, with the receipts of `run`"
    )
