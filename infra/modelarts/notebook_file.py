"""Write a Jupyter notebook, and a shell script, that train with the code in `models/`."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from infra.errors import UserError
from infra.store.atomic import write_text

NAME = "train.ipynb"
_FILES = Path(__file__).resolve().parent / "notebook_files"
_TEMPLATE = _FILES / "train.py.txt"
_STANDALONE = {"train.py": "standalone.py.txt", "scripts/run_standalone_train.sh": "run_standalone_train.sh.txt"}
_CELL = "# %%"
_MARKDOWN = " [markdown]"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def write_notebook(
    folder: Path, title: str, spec: Mapping[str, object], code: Path, data: str, data_files: Mapping[str, Path]
) -> Path:
    """Write a notebook with its code and data into a folder that any Jupyter can open.

    Beside it are `train.py` and `scripts/run_standalone_train.sh`, as in the published ResNet code.

    Args:
        folder: the target; must be empty or missing.
        title: of the notebook.
        spec: the resolved training specification.
        code: the folder of the models, which is copied.
        data: the notebook's data: a folder relative to the notebook, or an `obs://` address.
        data_files: files to copy into that folder, by path inside it; empty for an address.

    Returns:
        The notebook's path.

    Raises:
        UserError: the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", hint="choose a new folder")
    shutil.copytree(code, folder / "models", ignore=_IGNORED)
    for name, source in data_files.items():
        target = folder / data / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for name, source_name in _STANDALONE.items():
        write_text(folder / name, (_FILES / source_name).read_text(encoding="utf-8"))
    values = {
        "title": title,
        "network": str(spec["network"]),
        "data": json.dumps(data),
        "spec": _python(spec),
    }
    notebook = new_notebook(
        cells=[_cell(number, text) for number, text in enumerate(_cells(values))],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.validate(notebook)
    path = folder / NAME
    write_text(path, nbformat.writes(notebook) + "\n")
    return path


def _cells(values: Mapping[str, str]) -> list[str]:
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.split(_CELL)[1:]


def _cell(number: int, text: str) -> nbformat.NotebookNode:
    """Build a cell; its number is its id, so that equal settings write equal bytes."""
    if not text.startswith(_MARKDOWN):
        return new_code_cell(text.strip(), id=f"cell-{number}")
    lines = text.removeprefix(_MARKDOWN).strip().splitlines()
    return new_markdown_cell("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines), id=f"cell-{number}")


def _python(spec: Mapping[str, object]) -> str:
    """Format the specification as a Python literal, one field on each line."""
    fields = "".join(f"    {name!r}: {value!r},\n" for name, value in sorted(spec.items()))
    return f"{{\n{fields}}}"
