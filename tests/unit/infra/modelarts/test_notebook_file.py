"""A notebook for any Jupyter: its parts, and equal bytes for equal settings. `tests/e2e` executes one."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest

from infra.errors import UserError
from infra.modelarts.notebook_file import write_notebook

SPEC: dict[str, object] = {"network": "lenet5", "epochs": 2, "learning_rate": 0.01, "crop": True, "weight_decay": None}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with code and its cache."""
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "main.pyc").write_bytes(b"")
    (folder / "main.py").write_text("print('hello')\n")
    return folder


def write(folder: Path, code: Path, data: str = "data", files: Mapping[str, Path] | None = None) -> Path:
    return write_notebook(folder, "LeNet on a lesson's data", SPEC, code, data, files or {})


def test_it_is_written_with_code_and_data(tmp_path: Path, code: Path) -> None:
    images = tmp_path / "images.bin"
    images.write_bytes(b"images")
    path = write(tmp_path / "lesson", code, files={"train/batch.bin": images})
    files = {str(item.relative_to(path.parent)) for item in path.parent.rglob("*") if item.is_file()}
    assert files == {"train.ipynb", "models/main.py", "data/train/batch.bin"}
    assert (path.parent / "data/train/batch.bin").read_bytes() == b"images"


def test_it_has_the_specification_and_the_address(tmp_path: Path, code: Path) -> None:
    notebook = nbformat.read(write(tmp_path / "lesson", code, "obs://lessons/cifar10/"), as_version=4)
    first, *rest = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    values = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(first).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    assert values == {"DATA": "obs://lessons/cifar10/", "RESULTS": "results", "SPEC": SPEC}
    for source in rest:
        ast.parse(source)
    titles = [cell.source.splitlines()[0] for cell in notebook.cells if cell.cell_type == "markdown"]
    assert titles == ["# LeNet on a lesson's data", "## Train", "## Evaluate", "## Export"]


def test_equal_settings_write_equal_bytes(tmp_path: Path, code: Path) -> None:
    first, second = (write(tmp_path / name, code) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert json.loads(first.read_text())["nbformat"] == 4


def test_a_folder_with_files_is_refused(tmp_path: Path, code: Path) -> None:
    with pytest.raises(UserError, match="is not empty"):
        write(code, tmp_path)
