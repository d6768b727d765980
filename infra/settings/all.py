"""All settings together."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.settings.boards import BoardSettings, DeploySettings
from infra.settings.drift import DriftSettings
from infra.settings.modelarts import ModelArtsSettings, XiheSettings
from infra.settings.notify import NotifySettings
from infra.settings.release import ReleaseSettings
from infra.settings.retrain import RetrainSettings
from infra.settings.robustness import RobustnessSettings
from infra.settings.stages import (
    AtcSettings,
    ConvertSettings,
    EvaluateSettings,
    ExportSettings,
    PrefectSettings,
    RetrySettings,
    TrainSettings,
)
from infra.settings.storage import DataSettings, ObsSettings, StoreSettings
from infra.settings.tracking import TrackingSettings
from infra.settings.tune import TuneSettings

PREFIX = "ATLASFLOW_"


class Settings(BaseSettings):
    """All settings of one invocation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data: DataSettings = Field(DataSettings(), description="the source of the images")
    store: StoreSettings = Field(StoreSettings(), description="the artifact store")
    obs: ObsSettings = Field(ObsSettings(), description="object storage")
    train: TrainSettings = Field(TrainSettings(), description="training")
    modelarts: ModelArtsSettings = Field(ModelArtsSettings(), description="ModelArts")
    xihe: XiheSettings = Field(XiheSettings(), description="the xihe platform")
    evaluate: EvaluateSettings = Field(EvaluateSettings(), description="the evaluation, and the gate after it")
    robustness: RobustnessSettings = Field(RobustnessSettings(), description="the robustness measurement")
    export: ExportSettings = Field(ExportSettings(), description="export")
    convert: ConvertSettings = Field(ConvertSettings(), description="compilation to .om")
    atc: AtcSettings = Field(AtcSettings(), description="the compiler")
    release: ReleaseSettings = Field(ReleaseSettings(), description="signatures of releases")
    deploy: DeploySettings = Field(DeploySettings(), description="deployment")
    boards: dict[str, BoardSettings] = Field({"laptop": BoardSettings()}, description="the boards, by name")
    retrain: RetrainSettings = Field(RetrainSettings(), description="retraining")
    drift: DriftSettings = Field(DriftSettings(), description="drift of what boards see")
    prefect: PrefectSettings = Field(PrefectSettings(), description="the Prefect server")
    tracking: TrackingSettings = Field(TrackingSettings(), description="experiment tracking")
    tune: TuneSettings = Field(TuneSettings(), description="the search for a better network or training")
    notify: NotifySettings = Field(NotifySettings(), description="notifications")
    retry: RetrySettings = Field(RetrySettings(), description="retries of transient errors")
