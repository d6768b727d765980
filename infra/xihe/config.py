"""Training configs of the xihe platform (docs/reference/xihe.md §7.1): read, validate, convert to settings and back."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.errors import UserError
from infra.settings import Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_STRING = r'"(?:\\.|[^"\\])*"'
_COMMENTS = re.compile(rf"({_STRING})|//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMAS = re.compile(rf"({_STRING})|,(?=\s*[}}\]])")
# Names of recipe fields in published configs.
_ALIASES = {
    "num_epochs": "epochs",
    "epoch_size": "epochs",
    "lr": "learning_rate",
    "base_lr": "learning_rate",
}
_INPUTS = {"data_url": "data", "pretrain_url": "pretrained"}
_TRACKING = "aim_repo"  # not a recipe field: where an evaluation finds its metrics (xihe.md §7.1)

Value = str | int | float | bool


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Output(_Part):
    """A folder of the repository that receives what the training writes to the path in parameter `name`."""

    output_dir: str
    name: str


class Input(_Part):
    """A data set or a model of the platform; the training gets its path in parameter `name`."""

    input_url: str
    name: str


class Parameter(_Part):
    """One argument of the training."""

    name: str
    value: Value


class Frameworks(_Part):
    """The engine."""

    framework_type: str
    framework_version: str


class Config(_Part):
    """One training config; the field names are the platform's, including `hypeparameters`."""

    SDK: Literal["ModelArts"] = "ModelArts"
    code_dir: str
    boot_file: str
    outputs: tuple[Output, ...] = ()
    hypeparameters: tuple[Parameter, ...] = ()
    frameworks: Frameworks
    train_instance_type: str = Field(min_length=1)
    log_url: str
    env_variables: dict[str, Annotated[str, Field(coerce_numbers_to_str=True)]] = {}
    job_description: str = ""
    job_name: str
    inputs: tuple[Input, ...] = ()

    def text(self) -> str:
        """Return the text of the config file."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Imported:
    """Settings from a config, by section, and notes for the user."""

    settings: Mapping[str, Mapping[str, object]]
    notes: tuple[str, ...]

    def profile(self) -> str:
        """Return the settings as a profile (TOML), with the notes as comments."""
        return "".join(f"# {note}\n" for note in self.notes) + "\n" + tomlkit.dumps(self.settings)


def read(text: str) -> Config:
    """Read a config; comments and trailing commas, as in published configs, are ignored.

    Raises:
        UserError: not JSON, or fields are unknown, missing, invalid or contradictory; the message lists all of them.
    """
    plain = _TRAILING_COMMAS.sub(lambda match: match[1] or "", _COMMENTS.sub(lambda match: match[1] or "", text))
    duplicates: list[str] = []

    def collect(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        duplicates.extend(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return dict(pairs)

    try:
        values = json.loads(plain, object_pairs_hook=collect)
    except ValueError as error:
        raise UserError(f"the config is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError("the config is not a JSON object")
    problems = [f"'{name}' is given twice" for name in duplicates]
    if "hyperparameters" in values:
        if "hypeparameters" in values:
            problems.append("'hyperparameters' and 'hypeparameters' contradict each other")
        values["hypeparameters"] = values.pop("hyperparameters")
    try:
        config = Config(**values)
    except ValidationError as error:
        problems += [_describe(problem) for problem in error.errors(include_url=False, include_input=False)]
    else:
        problems += _find_problems(config)
        if not problems:
            return config
    raise UserError("the config is not valid:" + "".join(f"\n    {problem}" for problem in problems))


def to_settings(config: Config, recipe: str) -> Imported:
    """Convert a config to settings that train the same way on ModelArts.

    Args:
        config: of xihe.
        recipe: the recipe that its hyper-parameters override; a hyper-parameter called `recipe` takes precedence.
    """
    parameters = {_ALIASES.get(item.name, item.name): item.value for item in config.hypeparameters}
    tracking = parameters.pop(_TRACKING, "")
    train: dict[str, Value] = {"target": "modelarts", "recipe": recipe, **parameters}
    xihe = {
        "aim_repo": str(tracking),
        "job_name": config.job_name,
        "job_description": config.job_description,
        "code_dir": config.code_dir,
        "boot_file": config.boot_file,
        "framework_type": config.frameworks.framework_type,
        **{_INPUTS[item.name]: item.input_url for item in config.inputs},
    }
    notes = [f"{config.boot_file} of the repository is not run: {train['recipe']} trains instead"]
    for output in config.outputs:
        xihe |= {"output_dir": output.output_dir, "output_name": output.name}
    for item in config.inputs:
        setting = "data.source" if item.name == "data_url" else "train.pretrained"
        notes.append(f"{item.input_url} is on xihe: download it there and name the copy in {setting}")
    modelarts = {
        "engine": config.frameworks.framework_version,
        "flavor": config.train_instance_type,
        "logs": config.log_url.strip("/"),
        "environment": config.env_variables,
    }
    return Imported({"train": train, "modelarts": modelarts, "xihe": xihe}, tuple(notes))


def from_settings(settings: Settings) -> Config:
    """Build the config of a project that trains with these settings.

    Raises:
        UserError: a setting that the platform needs is missing or not valid.
    """
    xihe, modelarts = settings.xihe, settings.modelarts
    for name, value in (("engine", modelarts.engine), ("flavor", modelarts.flavor)):
        if not value:
            raise UserError(f"modelarts.{name} is not set", hint="xihe's form for a new training lists the choices")
    parameters = {"recipe": settings.train.recipe, **settings.train.overrides()}
    if xihe.aim_repo:
        parameters[_TRACKING] = xihe.aim_repo
    inputs = [Input(input_url=getattr(xihe, field), name=name) for name, field in _INPUTS.items()]
    config = Config(
        code_dir=xihe.code_dir,
        boot_file=xihe.boot_file,
        outputs=(Output(output_dir=xihe.output_dir, name=xihe.output_name),),
        hypeparameters=tuple(Parameter(name=name, value=_value(value)) for name, value in parameters.items()),
        frameworks=Frameworks(framework_type=xihe.framework_type, framework_version=modelarts.engine),
        train_instance_type=modelarts.flavor,
        log_url=f"{modelarts.logs.strip('/')}/",
        env_variables=modelarts.environment,
        job_description=xihe.job_description,
        job_name=xihe.job_name,
        inputs=tuple(item for item in inputs if item.input_url),
    )
    problems = _find_problems(config)
    if problems:
        raise UserError(f"the settings make no valid xihe project: {'; '.join(problems)}", hint="change them in [xihe]")
    return config


def _find_problems(config: Config) -> list[str]:
    """Find contradictions between the fields, and paths outside of the repository."""
    paths = [("code_dir", config.code_dir), ("boot_file", config.boot_file), ("log_url", config.log_url)]
    paths += [("output_dir", output.output_dir) for output in config.outputs]
    problems = [
        f"{field} '{value}' leaves the repository"
        for field, value in paths
        if not value or value.startswith("/") or ".." in PurePosixPath(value).parts
    ]
    problems += [f"the input '{item.name}' is unknown" for item in config.inputs if item.name not in _INPUTS]
    if len(config.outputs) > 1:
        problems.append("there are several outputs; a training writes to one folder")
    channels = [item.name for item in config.inputs] + [item.name for item in config.outputs]
    names = [item.name for item in config.hypeparameters] + channels
    problems += [f"the parameter '{name}' is given twice" for name, count in Counter(names).items() if count > 1]
    fields: dict[str, str] = {}
    for name in dict.fromkeys(item.name for item in config.hypeparameters):
        other = fields.setdefault(_ALIASES.get(name, name), name)
        if other != name:
            problems.append(f"the hyper-parameters '{other}' and '{name}' mean the same")
    return problems


def _describe(problem: "ErrorDetails") -> str:
    field = ".".join(str(part) for part in problem["loc"])
    return f"unknown field '{field}'" if problem["type"] == "extra_forbidden" else f"field '{field}': {problem['msg']}"


def _value(value: object) -> Value:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
