"""Write a project for the xihe platform: `train/` with two configs, `inference/` with a page.

Source: docs/reference/tutorials.md T1.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from infra.errors import UserError
from infra.settings import Settings
from infra.store.atomic import write_text
from infra.xihe.config import from_settings

_FILES = Path(__file__).resolve().parent / "files"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_TRAINING = ("mindspore", "numpy<2", "pillow")  # numpy: MindSpore's wheels are compiled against numpy 1


def write_project(settings: Settings, spec: Mapping[str, object], code: Path, folder: Path) -> list[Path]:
    """Write the whole project.

    Args:
        settings: `xihe` names the project, `train` the recipe and its overrides, `modelarts` engine and flavor.
        spec: the resolved specification, for the inference page.
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
    train, inference = folder / config.code_dir, folder / "inference"
    boot = Path(config.boot_file)
    for part in (train / boot.parent, inference):  # next to the script that imports it
        shutil.copytree(code, part / "models", ignore=_IGNORED)
    with_aim = config.model_copy(
        update={
            "boot_file": (boot.parent / "train_aim.py").as_posix(),
            "job_name": f"{config.job_name}-aim",
            "job_description": "tracked by Aim",
        }
    )
    model = f"{settings.xihe.owner}/{config.job_name}/best.ckpt"
    texts = {
        folder / "train" / "config.json": config.text(),
        folder / "train" / "config_aim.json": with_aim.text(),
        train / config.boot_file: _template("train.py"),
        train / boot.parent / "train_aim.py": _template("train_aim.py").replace(
            "from train import", f"from {boot.stem} import"
        ),
        train / "pip-requirements.txt": _lines(*_TRAINING, "aim"),
        inference / "app.py": _template("app.py"),
        inference / "requirements.txt": _lines(*_TRAINING, "gradio"),
        inference / "config.json": json.dumps({"model_path": [model]}, indent=2) + "\n",
        inference / "spec.json": json.dumps(spec, indent=1, sort_keys=True) + "\n",
    }
    for path, text in texts.items():
        write_text(path, text)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _template(name: str) -> str:
    return (_FILES / f"{name}.txt").read_text(encoding="utf-8")


def _lines(*words: str) -> str:
    return "".join(f"{word}\n" for word in words)
