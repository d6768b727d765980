"""All settings of one invocation."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.settings.boards import BoardSettings, DeploySettings
from infra.settings.drift import DriftSettings
from infra.settings.modelarts import ModelArtsSettings, XiheSettings
from infra.settings.notify import NotifySettings
from infra.settings.retrain import RetrainSettings
from infra.settings.robustness import RobustnessSettings
from infra.settings.stages import (
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

    data: DataSettings = DataSettings()
    store: StoreSettings = StoreSettings()
    obs: ObsSettings = ObsSettings()
    train: TrainSettings = TrainSettings()
    modelarts: ModelArtsSettings = ModelArtsSettings()
    xihe: XiheSettings = XiheSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    robustness: RobustnessSettings = RobustnessSettings()
    export: ExportSettings = ExportSettings()
    convert: ConvertSettings = ConvertSettings()
    deploy: DeploySettings = DeploySettings()
    boards: dict[str, BoardSettings] = {"laptop": BoardSettings()}
    retrain: RetrainSettings = RetrainSettings()
    drift: DriftSettings = DriftSettings()
    prefect: PrefectSettings = PrefectSettings()
    tracking: TrackingSettings = TrackingSettings()
    tune: TuneSettings = TuneSettings()
    notify: NotifySettings = NotifySettings()
    retry: RetrySettings = RetrySettings()
