"""Write a Jupyter notebook that trains, evaluates and exports with the code in `models/`."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from infra.errors import UserError
from infra.store.atomic import write_text

NAME = "train.ipynb"
_TEMPLATE = Path(__file__).resolve().parent / "notebook_files" / "train.py.txt"
_CELL = "# %%"
_MARKDOWN = " [markdown]"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def write_notebook(
    folder: Path, title: str, spec: Mapping[str, object], code: Path, data: str, data_files: Mapping[str, Path]
) -> Path:
    """Write a folder that can be uploaded to any Jupyter as it is.

    Args:
        folder: where to; it must not hold anything yet.
        title: of the notebook.
        spec: the resolved training specification.
        code: the folder of the models, which is copied.
        data: what the notebook reads: a folder relative to the notebook, or an `obs://` address.
        data_files: files to copy into that folder, by path inside it; empty for an address.

    Returns:
        The notebook's path.

    Raises:
        UserError: the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", hint="name a new folder")
    shutil.copytree(code, folder / "models", ignore=_LEFT_OUT)
    for name, source in data_files.items():
        target = folder / data / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    words = {
        "title": title,
        "network": str(spec["network"]),
        "data": json.dumps(data),
        "spec": _python(spec),
    }
    notebook = new_notebook(
        cells=[_cell(number, text) for number, text in enumerate(_cells(words))],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.validate(notebook)
    path = folder / NAME
    write_text(path, nbformat.writes(notebook) + "\n")
    return path


def _cells(words: Mapping[str, str]) -> list[str]:
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, value in words.items():
        text = text.replace(f"{{{name}}}", value)
    return text.split(_CELL)[1:]


def _cell(number: int, text: str) -> nbformat.NotebookNode:
    """A cell whose id is its number, so that equal settings write equal bytes."""
    if not text.startswith(_MARKDOWN):
        return new_code_cell(text.strip(), id=f"cell-{number}")
    lines = text.removeprefix(_MARKDOWN).strip().splitlines()
    return new_markdown_cell("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines), id=f"cell-{number}")


def _python(spec: Mapping[str, object]) -> str:
    """The specification as a Python literal, a field a line."""
    fields = "".join(f"    {name!r}: {value!r},\n" for name, value in sorted(spec.items()))
    return f"{{\n{fields}}}"
