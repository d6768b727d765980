"""Write a project for the xihe platform: `train/` with two configs, `inference/` with a page.

Source: docs/reference/tutorials.md T1.
"""

import json
import pprint
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import UserError
from infra.settings import Settings
from infra.store.atomic import write_text
from infra.xihe.config import ALIASES, TRACKING, Config, Parameter
from infra.xihe.conversion import from_settings
from infra.xihe.engines import too_old

_FILES = Path(__file__).resolve().parent / "files"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_AIM_REPO = "./db"  # docs/reference/tutorials.md T1
_TRAINING = ("mindspore", "numpy<2", "pillow")  # numpy: MindSpore's wheels are compiled against numpy 1


@dataclass(frozen=True)
class Written:
    """A written project: its files, relative to its folder, and what is too old in the engine; empty for nothing."""

    files: tuple[Path, ...]
    old: str


def write_project(
    settings: Settings, spec: Mapping[str, object], names: Sequence[str], code: Path, folder: Path
) -> Written:
    """Write the whole project.

    Args:
        settings: `xihe` names the project, `train` the recipe and its overrides, `modelarts` engine and flavor.
        spec: the resolved specification, for the inference page.
        names: of the classes, for the inference page.
        code: the folder of the models, which is copied into both parts.
        folder: the target; must be empty or missing.

    Raises:
        UserError: a setting is missing, or the folder is not empty.
    """
    config = from_settings(settings)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", hint="choose a new folder")
    for part in (_boot_folder(config), Path("inference")):  # next to the script that imports it
        shutil.copytree(code, folder / part / "models", ignore=_IGNORED)
    for path, text in _texts(config, settings, spec, names).items():
        write_text(folder / path, text)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return Written(tuple(files), too_old(config.frameworks.framework_version))


def _boot_folder(config: Config) -> Path:
    return Path(config.code_dir) / Path(config.boot_file).parent


def _texts(config: Config, settings: Settings, spec: Mapping[str, object], names: Sequence[str]) -> dict[Path, str]:
    """Return the texts of all files apart from the models, by their paths."""
    train, inference = _boot_folder(config), Path("inference")
    boot = Path(config.boot_file)
    network = re.sub(r"\W+", "_", Path(str(spec["network"]).rpartition(":")[0] or str(spec["network"])).stem)
    aim = f"{network}_aim_cust.py"
    if aim == boot.name:
        raise UserError(f"xihe.boot_file {aim} is the name of the variant with Aim", hint="choose another name")
    checkpoint = f"{settings.xihe.owner}/{config.job_name}/best.ckpt"
    return {
        Path("train", "config.json"): config.text(),
        Path("train", "config_aim.json"): _with_aim(config, (boot.parent / aim).as_posix()).text(),
        train / boot.name: _script(settings, spec),
        train / aim: _template("train_aim.py").replace("from train import", f"from {boot.stem} import"),
        Path(config.code_dir, "pip-requirements.txt"): _lines(*_TRAINING, "aim"),
        inference / "app.py": _template("app.py"),
        inference / "requirements.txt": _lines(*_TRAINING, "gradio"),
        inference / "config.json": json.dumps({"model_path": [checkpoint]}, indent=2) + "\n",
        inference / "classes.txt": _lines(*names),
        inference / "spec.json": json.dumps(spec, indent=1, sort_keys=True) + "\n",
    }


def _with_aim(config: Config, boot: str) -> Config:
    tracked = any(item.name == TRACKING for item in config.hypeparameters)
    more = () if tracked else (Parameter(name=TRACKING, value=_AIM_REPO),)
    return config.model_copy(
        update={
            "boot_file": boot,
            "hypeparameters": (*config.hypeparameters, *more),
            "job_name": f"{config.job_name}-aim",
            "job_description": "tracked by Aim",
        }
    )


def _script(settings: Settings, spec: Mapping[str, object]) -> str:
    """Return the boot file: it takes the arguments under the names of the config."""
    xihe = settings.xihe
    arguments = {"data": xihe.data_name, "output": xihe.output_name, "pretrained": xihe.pretrained_name}
    text = _template("train.py")
    own = {name for name in xihe.parameters if ALIASES.get(name, name) not in spec}
    for name, value in (("arguments", arguments), ("fields", ALIASES), ("own", own)):
        text = text.replace(f"{{{name}}}", pprint.pformat(value, width=110) if value else "set()")
    return text


def _template(name: str) -> str:
    return (_FILES / f"{name}.txt").read_text(encoding="utf-8")


def _lines(*words: str) -> str:
    return "".join(f"{word}\n" for word in words)
