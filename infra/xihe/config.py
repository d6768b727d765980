"""Training configs of the xihe platform (docs/reference/xihe.md §7.1): read, validate, write."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.errors import UserError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_STRING = r'"(?:\\.|[^"\\])*"'
_COMMENTS = re.compile(rf"({_STRING})|//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMAS = re.compile(rf"({_STRING})|,(?=\s*[}}\]])")
ALIASES = {
    "num_epochs": "epochs",
    "epoch_size": "epochs",
    "lr": "learning_rate",
    "base_lr": "learning_rate",
}
"""Names of recipe fields in published configs."""

INPUTS = {"data_url": "data", "data_path": "data", "pretrain_url": "pretrained", "pretrain_path": "pretrained"}
"""Arguments for inputs in published scripts, and what they are."""

TRACKING = "aim_repo"
"""Not a recipe field: where an evaluation finds its metrics (xihe.md §7.1)."""

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
    if isinstance(parameters := values.get("hypeparameters"), dict):  # as in published templates
        values["hypeparameters"] = [{"name": name, "value": value} for name, value in parameters.items()]
    try:
        config = Config(**values)
    except ValidationError as error:
        problems += [_describe(problem) for problem in error.errors(include_url=False, include_input=False)]
    else:
        problems += find_problems(config)
        if not problems:
            return config
    raise UserError("the config is not valid:" + "".join(f"\n    {problem}" for problem in problems))


def find_problems(config: Config) -> list[str]:
    """Find contradictions between the fields, and paths outside of the repository."""
    paths = [("code_dir", config.code_dir), ("boot_file", config.boot_file), ("log_url", config.log_url)]
    paths += [("output_dir", output.output_dir) for output in config.outputs]
    problems = [
        f"{field} '{value}' leaves the repository"
        for field, value in paths
        if not value or value.startswith("/") or ".." in PurePosixPath(value).parts
    ]
    if len(config.outputs) > 1:
        problems.append("there are several outputs; a training writes to one folder")
    channels = [item.name for item in config.inputs] + [item.name for item in config.outputs]
    names = [item.name for item in config.hypeparameters] + channels
    problems += [f"the parameter '{name}' is given twice" for name, count in Counter(names).items() if count > 1]
    fields: dict[str, str] = {}
    for name in dict.fromkeys(item.name for item in config.hypeparameters):
        other = fields.setdefault(ALIASES.get(name, name), name)
        if other != name:
            problems.append(f"the hyper-parameters '{other}' and '{name}' mean the same")
    return problems


def _describe(problem: "ErrorDetails") -> str:
    field = ".".join(str(part) for part in problem["loc"])
    return f"unknown field '{field}'" if problem["type"] == "extra_forbidden" else f"field '{field}': {problem['msg']}"
