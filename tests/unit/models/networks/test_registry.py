"""What a command imports, against what is said to decide its bytes."""

import json
import shutil
from pathlib import Path

import pytest

from infra.store.code_digest import closure
from models.networks.registry import code_of

CHECKOUT = Path(__file__).parents[4]
# Plumbing, and what is wholly expressed in the resolved specification.
PLUMBING = ("main", "remote", "unpacking", "spec", "registry", "trainspec")
APART = {f"models/{name}.py" for name in PLUMBING}
PROGRAM = """
import json, sys
from models import main
code = main.main(sys.argv[1:])
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] == "models")))
sys.exit(code)
"""


@pytest.mark.mindspore
def test_everything_that_a_command_imports_is_digested(run, data, tmp_path):
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
        assert paths - digested <= APART, command
        assert "models/networks/resnet.py" not in paths | digested


def _path(module):
    base = module.replace(".", "/")
    return f"{base}/__init__.py" if (CHECKOUT / base).is_dir() else f"{base}.py"


def test_recipes_and_their_checks_are_no_part_of_a_training():
    digested = closure(code_of("train", "lenet5"), CHECKOUT)
    assert "models/spec/recipes.py" not in digested
    assert "models/networks/registry.py" not in digested
    assert "models/spec/train_spec.py" not in digested
    assert {"models/training/schedules.py", "models/preprocess.py", "models/networks/lenet.py"} <= set(digested)
