"""What runs on boards keeps to Python 3.6: its syntax, its library, and three packages beside it."""

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.board import helper, program
from tests import boards

COPIED = [boards.CHECKOUT / "models" / name for name in ("preprocess.py", "parity.py")]
FILES = [*sorted(boards.AGENT.glob("*.py")), *COPIED]
ALLOWED = {"numpy", "PIL", "acl", "preprocess", "parity", "agent"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_syntax(path: Any) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_library() -> None:
    program: list[str | Path] = [
        Path(sys.executable).with_name("vermin"),
        "--target=3.6-",
        "--no-tips",
        "--violations",
        *map(str, FILES),
    ]
    finished = subprocess.run(program, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout
    assert "Minimum required versions: 3.6" in finished.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports(path: Any) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            names = {node.module.partition(".")[0]}
        else:
            continue
        assert names <= sys.stdlib_module_names | ALLOWED


@pytest.mark.parametrize("modules", [helper.MODULES, program.MODULES], ids=["helper", "start"])
def test_the_parts_that_boards_get_are_whole_and_need_the_standard_library_only(modules: Sequence[str]) -> None:
    for name in modules:
        for node in ast.walk(ast.parse((boards.AGENT / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                assert node.module in modules[: modules.index(name)]
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & {"numpy", "PIL", "acl", "preprocess", "parity"}
