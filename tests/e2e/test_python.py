"""The examples of docs/python.md, one after the other, as a script in a folder of the user's."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import CHECKOUT
from tests.e2e.installation import PYTHON

pytestmark = [pytest.mark.service]


def test_the_examples_of_the_guide_run(made: Any, tmp_path: Path) -> None:
    examples = re.findall(
        r"^```python\n(.*?)^```$", (CHECKOUT / "docs/python.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script = tmp_path / "examples.py"
    script.write_text("\n".join([*examples, "open('run.html', 'w').write(run._repr_html_())"]))
    done = made.start([PYTHON, script], folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"\d+\.\d% of the images are answered right", lines[0])
    assert (tmp_path / "mine" / "model.onnx").is_file()
    assert [line.split()[:2] for line in lines if line.startswith(("download ", "deploy "))] == [
        ["download", "reused"],
        ["deploy", "reused"],
    ]
    assert "train.epochs: 0 is not between" in lines[-1]
    assert (tmp_path / "run.html").read_text().count("data:image/png;base64") == 4
