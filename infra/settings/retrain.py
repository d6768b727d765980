"""When the champion is challenged, and what a challenger has to show."""

from typing import Literal

from pydantic import Field

from infra.settings.section import Section


class RetrainSettings(Section):
    """Retraining: reasons, gates, and what a promotion sets in motion."""

    max_age_days: float = Field(30, ge=0, description="a champion unchallenged for longer is challenged; 0: never")
    drift: bool = Field(True, description="ask boards that run the champion what they have seen, as [drift] says")
    seeds: tuple[int, ...] = Field((), description="train a challenger with each; empty: with the recipe's own seed")
    significance: float = Field(0.05, gt=0, lt=1, description="McNemar's test: the largest p value that counts")
    max_recall_drop: float = Field(0.05, ge=0, le=1, description="how much recall any class may lose")
    robustness: bool = Field(True, description="compare both on corrupted images too, as [robustness] says")
    max_robustness_drop: float = Field(0.05, ge=0, le=1, description="how much mean accuracy any corruption may cost")
    approval: bool = Field(False, description="a person has to say yes in the Prefect UI before a promotion")
    approval_hours: float = Field(24, gt=0, le=8760, description="how long the person's word is waited for")
    rollout: Literal["subflow", "deployment", "none"] = Field(
        "subflow", description="within the run, by the deployment `rollout` of the server, or not at all"
    )
    boards: Literal["deploy", "fleet"] = Field("deploy", description="those of deploy.boards, or the whole fleet file")
    waves: tuple[str, ...] = Field(("1", "10%", "50%"), description="boards that are done at the end of each wave")
    max_failed: float = Field(0, ge=0, le=1, description="share of a wave's boards that may fail")
