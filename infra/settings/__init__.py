"""Typed settings: a module for each subject, `all` of them together, and `load`."""

from infra.settings.all import Settings
from infra.settings.boards import BoardSettings, DeploySettings
from infra.settings.load import PROFILES, load, nearest, secret_names, sources
from infra.settings.modelarts import (
    ModelArtsNotebookSettings,
    ModelArtsSettings,
    ModelArtsStandInSettings,
    ModelArtsVolume,
    XiheSettings,
)
from infra.settings.notify import NotifySettings
from infra.settings.retrain import RetrainSettings
from infra.settings.stages import PrefectSettings, RetrySettings
from infra.settings.storage import ObsSettings
from infra.settings.tracking import TrackingSettings
from infra.settings.tune import TuneSettings

__all__ = [
    "PROFILES",
    "BoardSettings",
    "DeploySettings",
    "ModelArtsNotebookSettings",
    "ModelArtsSettings",
    "ModelArtsStandInSettings",
    "ModelArtsVolume",
    "NotifySettings",
    "ObsSettings",
    "PrefectSettings",
    "RetrainSettings",
    "RetrySettings",
    "Settings",
    "TrackingSettings",
    "TuneSettings",
    "XiheSettings",
    "load",
    "nearest",
    "secret_names",
    "sources",
]
