"""A notebook to take along: its parts, and that equal settings write equal bytes. `tests/e2e` executes one."""

import ast
import json

import nbformat
import pytest

from infra.errors import UserError
from infra.modelarts.notebook_file import write_notebook

SPEC = {"network": "lenet5", "epochs": 2, "learning_rate": 0.01, "crop": True, "weight_decay": None}


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "main.pyc").write_bytes(b"")
    (folder / "main.py").write_text("print('hello')\n")
    return folder


def write(folder, code, data="data", files=None):
    return write_notebook(folder, "LeNet on a lesson's data", SPEC, code, data, files or {})


def test_code_and_data_lie_beside_it(tmp_path, code):
    images = tmp_path / "images.bin"
    images.write_bytes(b"images")
    path = write(tmp_path / "lesson", code, files={"train/batch.bin": images})
    files = {str(item.relative_to(path.parent)) for item in path.parent.rglob("*") if item.is_file()}
    assert files == {"train.ipynb", "models/main.py", "data/train/batch.bin"}
    assert (path.parent / "data/train/batch.bin").read_bytes() == b"images"


def test_it_holds_the_specification_and_the_address(tmp_path, code):
    notebook = nbformat.read(write(tmp_path / "lesson", code, "obs://lessons/cifar10/"), as_version=4)
    first, *rest = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    values = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(first).body
        if isinstance(statement, ast.Assign)
    }
    assert values == {"DATA": "obs://lessons/cifar10/", "RESULTS": "results", "SPEC": SPEC}
    for source in rest:
        ast.parse(source)
    titles = [cell.source.splitlines()[0] for cell in notebook.cells if cell.cell_type == "markdown"]
    assert titles == ["# LeNet on a lesson's data", "## Train", "## Evaluate", "## Export"]


def test_equal_settings_write_equal_bytes(tmp_path, code):
    first, second = (write(tmp_path / name, code) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert json.loads(first.read_text())["nbformat"] == 4


def test_a_folder_that_is_in_use_is_left_alone(tmp_path, code):
    with pytest.raises(UserError, match="is not empty"):
        write(code, tmp_path)
