"""Write a project for the xihe platform: `train/` with two configs, `inference/` with a page.

Source: docs/reference/tutorials.md T1.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.errors import UserError
from infra.settings import Settings
from infra.store.atomic import write_text
from infra.xihe.config import Config, from_settings

_FILES = Path(__file__).resolve().parent / "files"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_TRAINING = ("mindspore", "numpy<2", "pillow")  # numpy: MindSpore's wheels are compiled against numpy 1


def write_project(
    settings: Settings, spec: Mapping[str, object], names: Sequence[str], code: Path, folder: Path
) -> list[Path]:
    """Write the whole project.

    Args:
        settings: `xihe` names the project, `train` the recipe and its overrides, `modelarts` engine and flavor.
        spec: the resolved specification, for the inference page.
        names: of the classes, for the inference page.
        code: the folder of the models, which is copied into both parts.
        folder: the target; must be empty or missing.

    Returns:
        The files written, relative to `folder`.

    Raises:
        UserError: a setting is missing, or the folder is not empty.
    """
    config = from_settings(settings)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", hint="choose a new folder")
    for part in (_boot_folder(config), Path("inference")):  # next to the script that imports it
        shutil.copytree(code, folder / part / "models", ignore=_IGNORED)
    for path, text in _texts(config, settings.xihe.owner, spec, names).items():
        write_text(folder / path, text)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _boot_folder(config: Config) -> Path:
    return Path(config.code_dir) / Path(config.boot_file).parent


def _texts(config: Config, owner: str, spec: Mapping[str, object], names: Sequence[str]) -> dict[Path, str]:
    """Return the texts of all files apart from the models, by their paths."""
    train, inference = _boot_folder(config), Path("inference")
    boot = Path(config.boot_file)
    with_aim = config.model_copy(
        update={
            "boot_file": (boot.parent / "train_aim.py").as_posix(),
            "job_name": f"{config.job_name}-aim",
            "job_description": "tracked by Aim",
        }
    )
    checkpoint = f"{owner}/{config.job_name}/best.ckpt"
    train_aim = _template("train_aim.py").replace("from train import", f"from {boot.stem} import")
    return {
        Path("train", "config.json"): config.text(),
        Path("train", "config_aim.json"): with_aim.text(),
        train / boot.name: _template("train.py"),
        train / "train_aim.py": train_aim,
        Path(config.code_dir, "pip-requirements.txt"): _lines(*_TRAINING, "aim"),
        inference / "app.py": _template("app.py"),
        inference / "requirements.txt": _lines(*_TRAINING, "gradio"),
        inference / "config.json": json.dumps({"model_path": [checkpoint]}, indent=2) + "\n",
        inference / "classes.txt": _lines(*names),
        inference / "spec.json": json.dumps(spec, indent=1, sort_keys=True) + "\n",
    }


def _template(name: str) -> str:
    return (_FILES / f"{name}.txt").read_text(encoding="utf-8")


def _lines(*words: str) -> str:
    return "".join(f"{word}\n" for word in words)
