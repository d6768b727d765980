"""The modules that a command imports, compared with those in its code digest."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.store.code_digest import closure
from models.networks.registry import code_of
from tests.unit.models.conftest import Ran

CHECKOUT = Path(__file__).parents[4]
# Input and output, and what the resolved specification states completely.
NOT_DIGESTED = {
    "models/data/archive.py",
    "models/main.py",
    "models/moxing.py",
    "models/networks/registry.py",
    "models/spec/__init__.py",
    "models/spec/recipes.py",
    "models/spec/train_spec.py",
    "models/spec/values.py",
}
PROGRAM = """
import json, sys
from models import main
code = main.main(sys.argv[1:])
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] == "models")))
sys.exit(code)
"""


@pytest.mark.mindspore
def test_everything_that_a_command_imports_is_digested(run: Callable[..., Ran], data: Path, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    spec = json.dumps({"epochs": 1, "batch_size": 20})
    common = ("--data_url", data, "--spec", spec)
    loaded = ("--checkpoint", tmp_path / "checkpoint.ckpt", "--output", tmp_path)
    corrupted = tmp_path / "corrupted"
    shutil.copytree(data / "eval", corrupted / "contrast" / "1" / "eval")
    commands = {
        "train": ("--train_url", tmp_path),
        "evaluate": loaded,
        "robustness": (*loaded, "--corrupted_url", corrupted),
        "export": (*loaded, "--format", "onnx"),
        "profile": loaded,
    }
    for command, arguments in commands.items():
        done = run({"robustness": "evaluate"}.get(command, command), *common, *arguments, main=script)
        assert done.code == 0, done.errors
        paths = {_path(module) for module in json.loads(done.lines[-1])}
        digested = set(closure(code_of(command, "lenet5"), CHECKOUT))
        assert paths - digested <= NOT_DIGESTED, command
        assert "models/networks/resnet.py" not in paths | digested


def _path(module: str) -> str:
    base = module.replace(".", "/")
    return f"{base}/__init__.py" if (CHECKOUT / base).is_dir() else f"{base}.py"


def test_recipes_and_their_checks_are_not_in_the_digest_of_a_training() -> None:
    digested = closure(code_of("train", "lenet5"), CHECKOUT)
    assert "models/spec/recipes.py" not in digested
    assert "models/networks/registry.py" not in digested
    assert "models/spec/train_spec.py" not in digested
    assert {"models/training/schedules.py", "models/preprocess.py", "models/networks/lenet.py"} <= set(digested)
