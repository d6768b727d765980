"""What flows are asked for. The Prefect UI shows these models as forms, and refuses what their schemas do not allow."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from prefect.runtime import flow_run
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.config import JsonDict

from infra.errors import AtlasFlowError, UserError
from infra.fetch import shown
from infra.home import home
from infra.settings import load, secret_names
from infra.store.runs import Runs

StageName = Literal[
    "download", "upload", "train", "evaluate", "export", "convert", "publish", "deploy", "corrupt", "robustness"
]
_SETTING = r"^[a-z_]+(\.[A-Za-z0-9_-]+)+$"
_SECRET = rf"\.({'|'.join(sorted(secret_names()))})(\.|$)"


def _no_secret(name: str) -> str:
    if re.search(_SECRET, name):
        raise ValueError("is a secret, and requests are kept by the Prefect server: give it in the environment")
    return name


SettingName = Annotated[str, StringConstraints(pattern=_SETTING), AfterValidator(_no_secret)]
SETTING_NAMES: JsonDict = {"propertyNames": {"pattern": _SETTING, "not": {"pattern": _SECRET}}}
"""For JSON Schema, which Pydantic gives no constraint on the names of a mapping."""

Asked = TypeVar("Asked", bound="Target")


class Target(BaseModel):
    """Which installation is meant: a profile, and settings that differ from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str = Field(
        "local",
        pattern=r"^(local|twin|cloud|.+\.toml)$",
        description="local, twin, cloud, or the path of a profile's TOML file",
    )
    settings: dict[SettingName, str] = Field(
        {},
        description='settings that differ from the profile, such as {"train.epochs": "3"}; never secrets',
        json_schema_extra=SETTING_NAMES,
    )


class RunRequest(Target):
    """What to run of the chain."""

    stages: tuple[StageName, ...] = Field((), description="only these stages; empty: the chain")
    force: tuple[StageName, ...] = Field((), description="run these stages even when they are fresh")


class StageRequest(Target):
    """How to run one stage."""

    force: bool = Field(False, description="run it even when it is fresh")

    def of(self, stage: StageName) -> RunRequest:
        """The request of the chain that runs this stage alone."""
        forced: tuple[StageName, ...] = (stage,) if self.force else ()
        return RunRequest(profile=self.profile, settings=self.settings, stages=(stage,), force=forced)


class RetrainRequest(Target):
    """Whether and how to challenge the champion."""

    reason: str = Field("", description="why now; empty: only when data, code, recipe, age or drift give a reason")
    who: str = Field("", description="who asks, for the history")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="train a challenger with each seed; empty: as retrain.seeds says"
    )


class DemoteRequest(Target):
    """Which former champion is to be champion again."""

    to: str = Field("", description="id of a former champion's release; empty: the predecessor")
    reason: str = Field("", description="why, for the history")
    who: str = Field("", description="who asks, for the history")


class TuneRequest(Target):
    """What to vary, how to search, and how long."""

    recipes: tuple[str, ...] = Field((), description="recipes to try; empty: that of the settings")
    networks: tuple[str, ...] = Field((), description="networks to try with each recipe; empty: the recipe's own")
    space: dict[SettingName, str] = Field(
        {},
        description='fields to vary, such as {"train.learning_rate": "0.01,0.1", "train.width": "0.5..2"}; '
        "log:LOW..HIGH for equal ratios",
        json_schema_extra=SETTING_NAMES,
    )
    search: Literal["grid", "random", "tpe"] = Field("grid", description="which configuration comes next")
    trials: int | None = Field(None, ge=1, le=10_000, description="configurations in all; empty: the grid, or 20")
    minutes: float | None = Field(None, gt=0, description="stop after this time; the same request goes on later")
    seed: int = Field(1, ge=0, description="of the search; the trainings have train.seed")
    study: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,63})?$", description="a name; empty: from the rest")
    cluster: str = Field(
        "",
        pattern=r"^((tcp|tls)://[^\s/:]+:\d+)?$",
        description="the scheduler of a Dask cluster; empty: this machine alone",
    )
    promote: bool = Field(False, description="challenge the champion with the best trial in the end")


def run_name(what: str, request: Target) -> str:
    """A name that says what is run: `what`, recipe, data and a number that counts the runs of this installation.

    A request whose settings are wrong is named by its profile: the run itself says what is wrong.
    """
    try:
        settings = load(request.profile, dict(request.settings))
    except AtlasFlowError:
        return f"{what} {request.profile}"
    source = shown(settings.data.source)
    data = source.rpartition("/")[2] or source
    number = Runs(home()).count() + 1
    return f"{what} {settings.train.recipe} {data} #{number}"


def asked(kind: type[Asked], options: Mapping[str, Any]) -> Asked:
    """The request that the options of a command make.

    Raises:
        UserError: one of them has a value that the request does not allow.
    """
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        problems = ((".".join(map(str, item["loc"])), item["msg"]) for item in error.errors())
        said = "; ".join(f"{where}: {message}" if where else message for where, message in problems)
        raise UserError(f"this cannot be asked for: {said}", hint="--help says what can") from error


def requested(kind: type[Asked]) -> Asked:
    """The request of the current flow run, with its defaults."""
    given = flow_run.parameters.get("request")
    return kind() if given is None else kind.model_validate(given if isinstance(given, dict) else given.model_dump())
