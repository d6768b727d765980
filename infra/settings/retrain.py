"""Settings of retraining."""

from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from infra.settings.section import Section


class RetrainSettings(Section):
    """Retraining: its schedule, reasons, gates, and what follows a promotion."""

    cron: str = Field(
        "30 1 * * *",
        pattern=r"^(\S+( \S+){4})?$",
        description="when retraining starts by itself, as a cron expression of five fields; empty: never",
    )
    timezone: str = Field("Asia/Shanghai", description="time zone of retrain.cron, such as Europe/Berlin")
    max_age_days: float = Field(
        30, ge=0, description="days without a challenge after which the champion is challenged; 0: never"
    )
    drift: bool = Field(True, description="check the boards that run the champion for drift, as [drift] says")
    seeds: tuple[int, ...] = Field((), description="train a challenger with each seed; empty: with the recipe's own")
    significance: float = Field(0.05, gt=0, lt=1, description="largest p value of McNemar's test that counts")
    max_recall_drop: float = Field(0.05, ge=0, le=1, description="largest loss of recall of any class")
    robustness: bool = Field(True, description="compare both models on corrupted images too, as [robustness] says")
    max_robustness_drop: float = Field(
        0.05, ge=0, le=1, description="largest loss of mean accuracy under any corruption"
    )
    approval: bool = Field(False, description="wait for a person's approval in the Prefect UI before a promotion")
    approval_hours: float = Field(24, gt=0, le=8760, description="how long to wait for the approval, in hours")
    rollout: Literal["subflow", "deployment", "none"] = Field(
        "subflow", description="roll out within the run, by the deployment `rollout` of the server, or not at all"
    )
    boards: Literal["deploy", "fleet"] = Field(
        "deploy", description="boards of the rollout: those of deploy.boards, or all boards"
    )
    waves: tuple[str, ...] = Field(
        ("1", "10%", "50%"), description="boards done at the end of each wave: a number, or a share in percent"
    )
    max_failed: float = Field(0, ge=0, le=1, description="largest share of a wave's boards that may fail")

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:  # KeyError: not in the database of the system
            raise ValueError(f"there is no time zone '{name}'") from error
        return name
