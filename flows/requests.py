"""Requests: the parameters of the flows. The Prefect UI shows them as forms and checks them by their schemas."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from prefect.runtime import flow_run
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from infra.errors import AtlasFlowError, UserError
from infra.fetch import shown
from infra.home import home
from infra.settings import load, secret_names
from infra.settings.load import CREDENTIALS
from infra.store.runs import Runs
from tasks.tune.study import CLUSTER, STUDY

StageName = Literal[
    "download", "upload", "train", "evaluate", "export", "convert", "publish", "deploy", "corrupt", "robustness"
]
_SETTING = r"^[a-z_]+(\.[A-Za-z0-9_-]+)+$"
_SECRET = rf"\.({'|'.join(sorted(secret_names()))})(\.|$)"


def _no_secret(name: str) -> str:
    if re.search(_SECRET, name):
        raise ValueError("is a secret, and the Prefect server stores requests: set it in the environment")
    return name


def _no_credentials(value: str) -> str:
    if re.search(CREDENTIALS, value):
        raise ValueError("has credentials in it, and the Prefect server stores requests: set it in the environment")
    return value


SettingName = Annotated[str, StringConstraints(pattern=_SETTING), AfterValidator(_no_secret)]
SettingText = Annotated[
    str,
    AfterValidator(_no_credentials),
    WithJsonSchema({"type": "string", "not": {"pattern": CREDENTIALS}}),  # checked before the server stores a request
]
SETTING_NAMES: JsonDict = {"propertyNames": {"pattern": _SETTING, "not": {"pattern": _SECRET}}}
"""JSON Schema of the names, which Pydantic does not derive from the key type of a mapping."""

NAMED = ("train.recipe", "data.source")  # the name of a run has them in any case
MAX_CHANGED = 80  # characters of a name

Request = TypeVar("Request", bound="Target")


class Target(BaseModel):
    """A profile, and settings that override it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    profile: str = Field(
        "local",
        pattern=r"^(local|twin|cloud|.+\.toml)$",
        description="local, twin, cloud, or the path of a profile's TOML file",
    )
    settings: dict[SettingName, SettingText] = Field(
        {},
        description='settings that override the profile, such as {"train.epochs": "3"}; never secrets',
        json_schema_extra=SETTING_NAMES,
    )


class Training(Target):
    """A target with the settings of a training that people change most, as fields of their own."""

    recipe: str | None = Field(None, description="train.recipe; empty: that of the settings")
    epochs: int | None = Field(None, ge=1, le=10_000, description="train.epochs; empty: that of the recipe")
    learning_rate: float | None = Field(None, gt=0, description="train.learning_rate; empty: that of the recipe")
    seed: int | None = Field(None, ge=0, description="train.seed; empty: that of the recipe")

    @model_validator(mode="after")
    def _fields_are_settings(self) -> Self:
        """Put the fields among the settings, which are all that counts from here on."""
        fields = {name: getattr(self, name) for name in Training.model_fields.keys() - Target.model_fields.keys()}
        given = {f"train.{name}": str(value) for name, value in sorted(fields.items()) if value is not None}
        for name, value in given.items():
            if self.settings.get(name, value) != value:
                raise ValueError(f"{name} is {self.settings[name]} in the settings, and {value} in its field")
        object.__setattr__(self, "settings", {**self.settings, **given})
        return self


class RunRequest(Training):
    """Stages of the chain to run."""

    stages: tuple[StageName, ...] = Field((), description="stages to run; empty: the whole chain")
    force: tuple[StageName, ...] = Field((), description="stages to run even when they are fresh")


class StageRequest(Training):
    """Run one stage."""

    force: bool = Field(False, description="run it even when it is fresh")

    def of(self, stage: StageName) -> RunRequest:
        """Convert to a request that runs only this stage of the chain."""
        forced: tuple[StageName, ...] = (stage,) if self.force else ()
        return RunRequest(profile=self.profile, settings=self.settings, stages=(stage,), force=forced)


class RetrainRequest(Training):
    """Challenge the champion."""

    reason: str = Field("", description="why now; empty: only if data, code, recipe, age or drift give a reason")
    who: str = Field("", description="who requests it, for the history")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="train a challenger with each seed; empty: those of retrain.seeds"
    )


class DemoteRequest(Target):
    """Return to a former champion."""

    to: str = Field("", description="release id of a former champion; empty: the predecessor")
    reason: str = Field("", description="why, for the history")
    who: str = Field("", description="who requests it, for the history")


class TuneRequest(Target):
    """Search for a better network or training."""

    recipes: tuple[str, ...] = Field((), description="recipes to try; empty: the one of the settings")
    networks: tuple[str, ...] = Field((), description="networks to try with each recipe; empty: its own")
    space: dict[SettingName, SettingText] = Field(
        {},
        description='fields to vary, such as {"train.learning_rate": "0.01,0.1", "train.width": "0.5..2"}; '
        "log:LOW..HIGH for equal ratios",
        json_schema_extra=SETTING_NAMES,
    )
    search: Literal["grid", "random", "tpe"] = Field("grid", description="how the next configuration is chosen")
    trials: int | None = Field(None, ge=1, le=10_000, description="number of configurations; empty: the grid, or 20")
    minutes: float | None = Field(None, gt=0, description="stop after this time; the same request continues later")
    seed: int = Field(1, ge=0, description="seed of the search; trainings use train.seed")
    study: str = Field(
        "",
        pattern=STUDY,
        description="name; empty: derived from the request",
    )
    cluster: str = Field(
        "",
        pattern=CLUSTER,
        description="address of a Dask scheduler; empty: this machine only",
    )
    promote: bool = Field(False, description="challenge the champion with the best trial at the end")


def run_name(what: str, request: Target) -> str:
    """Build the name of a flow run: `what`, recipe, data, the number of the run in this installation, what changed.

    A request with wrong settings is named by its profile; the run itself reports the error.
    """
    try:
        settings = load(request.profile, dict(request.settings))
    except AtlasFlowError:
        return f"{what} {request.profile}"
    source = shown(settings.data.source)
    data = source.rpartition("/")[2] or source
    number = Runs(home()).count() + 1
    changed = (f" {name.partition('.')[2]}={value}" for name, value in request.settings.items() if name not in NAMED)
    return f"{what} {settings.train.recipe} {data} #{number}{''.join(changed)[:MAX_CHANGED]}"


def parse_request(kind: type[Request], options: Mapping[str, Any]) -> Request:
    """Build a request from the options of a command.

    Raises:
        UserError: an option has a value that the request does not allow.
    """
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        problems = ((".".join(map(str, item["loc"])), item["msg"]) for item in error.errors())
        text = "; ".join(f"{where}: {message}" if where else message for where, message in problems)
        raise UserError(f"wrong request: {text}", hint="--help describes the options") from error


def current_request(kind: type[Request]) -> Request:
    """Read the request of the current flow run, with its defaults."""
    given = flow_run.parameters.get("request")
    return kind() if given is None else kind.model_validate(given if isinstance(given, dict) else given.model_dump())
