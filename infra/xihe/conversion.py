"""Training configs of the xihe platform as settings, and back."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import tomlkit

from infra.errors import UserError
from infra.settings import Settings
from infra.xihe.config import (
    ALIASES,
    INPUTS,
    TRACKING,
    Config,
    Frameworks,
    Input,
    Output,
    Parameter,
    Value,
    find_problems,
)
from infra.xihe.engines import too_old


@dataclass(frozen=True)
class Imported:
    """Settings from a config, by section, and notes for the user."""

    settings: Mapping[str, Mapping[str, object]]
    notes: tuple[str, ...]

    def profile(self) -> str:
        """Return the settings as a profile (TOML), with the notes as comments."""
        return "".join(f"# {note}\n" for note in self.notes) + "\n" + tomlkit.dumps(self.settings)


def to_settings(config: Config, recipe: str, fields: Collection[str]) -> Imported:
    """Convert a config to settings that train the same way on ModelArts.

    Args:
        config: of xihe.
        recipe: the recipe that its hyper-parameters override; a hyper-parameter called `recipe` takes precedence.
        fields: names that a recipe has.

    Raises:
        UserError: the script has an input that no recipe has.
    """
    parameters = {item.name: item.value for item in config.hypeparameters}
    tracking, recipe = parameters.pop(TRACKING, ""), str(parameters.pop("recipe", recipe))
    known = {ALIASES.get(name, name): value for name, value in parameters.items() if ALIASES.get(name, name) in fields}
    own = [name for name in parameters if ALIASES.get(name, name) not in fields]
    xihe: dict[str, object] = {
        "aim_repo": str(tracking),
        "job_name": config.job_name,
        "job_description": config.job_description,
        "code_dir": config.code_dir,
        "boot_file": config.boot_file,
        "framework_type": config.frameworks.framework_type,
        "parameters": parameters,
    }
    notes = [f"{config.boot_file} of the repository is not run: {recipe} trains instead; `import xihe --run` runs it"]
    if own:
        notes.append(f"{', '.join(own)}: no field of a recipe, kept for the repository's own script")
    if old := too_old(config.frameworks.framework_version):
        notes.append(f"the engine has {old}, so that this recipe would fail on it: set modelarts.engine to a newer one")
    for output in config.outputs:
        xihe |= {"output_dir": output.output_dir, "output_name": output.name}
    for item in config.inputs:
        if item.name not in INPUTS:
            raise UserError(
                f"the input '{item.name}' is unknown to a recipe", hint="--run runs the repository's script"
            )
        kind = INPUTS[item.name]
        if kind in xihe:
            raise UserError(f"the input '{item.name}' is the second one of its kind", hint="leave one out")
        xihe |= {kind: item.input_url, f"{kind}_name": item.name}
        setting = "data.source" if kind == "data" else "train.pretrained"
        notes.append(f"{item.input_url} is on xihe: download it there and name the copy in {setting}")
    modelarts = {
        "engine": config.frameworks.framework_version,
        "flavor": config.train_instance_type,
        "logs": config.log_url.strip("/"),
        "environment": config.env_variables,
    }
    train: dict[str, Value] = {"target": "modelarts", "recipe": recipe, **known}
    return Imported({"train": train, "modelarts": modelarts, "xihe": xihe}, tuple(notes))


def from_settings(settings: Settings) -> Config:
    """Build the config of a project that trains with these settings.

    The hyper-parameters keep the names, and the order, of an imported config.

    Raises:
        UserError: a setting that the platform needs is missing or not valid.
    """
    xihe, modelarts = settings.xihe, settings.modelarts
    for name, value in (("engine", modelarts.engine), ("flavor", modelarts.flavor)):
        if not value:
            raise UserError(f"modelarts.{name} is not set", hint="xihe's form for a new training lists the choices")
    inputs = [
        Input(input_url=url, name=name)
        for url, name in ((xihe.data, xihe.data_name), (xihe.pretrained, xihe.pretrained_name))
        if url
    ]
    config = Config(
        code_dir=xihe.code_dir,
        boot_file=xihe.boot_file,
        outputs=(Output(output_dir=xihe.output_dir, name=xihe.output_name),),
        hypeparameters=tuple(Parameter(name=name, value=_value(value)) for name, value in _parameters(settings)),
        frameworks=Frameworks(framework_type=xihe.framework_type, framework_version=modelarts.engine),
        train_instance_type=modelarts.flavor,
        log_url=f"{modelarts.logs.strip('/')}/",
        env_variables=modelarts.environment,
        job_description=xihe.job_description,
        job_name=xihe.job_name,
        inputs=tuple(inputs),
    )
    problems = find_problems(config)
    if problems:
        raise UserError(f"the settings make no valid xihe project: {'; '.join(problems)}", hint="change them in [xihe]")
    return config


def _parameters(settings: Settings) -> list[tuple[str, object]]:
    """Return name and value of each hyper-parameter: the recipe, those of the imported config, other overrides."""
    overrides = settings.train.overrides()
    found: dict[str, object] = {"recipe": settings.train.recipe}
    for name, value in settings.xihe.parameters.items():
        found[name] = overrides.pop(ALIASES.get(name, name), value)
    found |= overrides
    if settings.xihe.aim_repo:
        found[TRACKING] = settings.xihe.aim_repo
    return list(found.items())


def _value(value: object) -> Value:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
