"""A network of the user's own: it trains, and is evaluated and exported like ours; what is wrong with it is named."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from models.failures import SpecError
from models.networks.registry import code_of, module_of
from models.spec.recipes import resolve

NETWORK = """
from mindspore import nn, ops

class Plain(nn.Cell):
    def __init__(self, classes, hidden=8):
        super().__init__()
        self.body = nn.SequentialCell(nn.Conv2d(3, hidden, 3, pad_mode="pad", padding=1), nn.ReLU(), nn.MaxPool2d(4, 4))
        self.mean = ops.ReduceMean()
        self.head = nn.Dense(hidden, classes)

    def construct(self, image):
        return self.head(self.mean(self.body(image), (2, 3)))

class Features(Plain):
    def construct(self, image):
        return self.body(image)

class NoClasses(nn.Cell):
    pass

class Fails(Plain):
    def __init__(self, classes):
        raise RuntimeError("no luck")

helper = 3
"""


def spec_of(path: Path, kind: str, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"network": f"{path.name}:{kind}", "network_sha256": digest, "epochs": 1, "batch_size": 50, **more}


@pytest.fixture
def train(run: Any, data: Path, tmp_path: Path) -> Any:
    path = tmp_path / "my_net.py"
    path.write_text(NETWORK)

    def trainer(kind: str, file: Path = path, out: str = "out", **more: Any) -> Any:
        spec = spec_of(path, kind, **more)
        arguments = ("train", "--data_url", data, "--train_url", tmp_path / out, "--spec", json.dumps(spec))
        return run(*arguments, environment={"ATLASFLOW_NETWORK_FILE": str(file)})

    return trainer


@pytest.mark.mindspore
def test_it_trains_and_is_exported(train: Any, run: Any, data: Path, tmp_path: Path) -> None:
    done = train("Plain", learning_rate=0.05)
    assert done.code == 0, done.errors
    assert (tmp_path / "out" / "result.json").exists()
    spec = json.dumps(spec_of(tmp_path / "my_net.py", "Plain"))
    loaded = ("--checkpoint", tmp_path / "out" / "checkpoint.ckpt", "--spec", spec, "--output", tmp_path / "exported")
    exported = run(
        *("export", "--data_url", data, *loaded, "--format", "onnx"),
        environment={"ATLASFLOW_NETWORK_FILE": str(tmp_path / "my_net.py")},
    )
    assert exported.code == 0, exported.errors
    assert json.loads((tmp_path / "exported" / "check.json").read_text())["agreement"] == 1.0


@pytest.mark.mindspore
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Features", "answers (2, 8, 8, 8) for two images, not (2, 10)"),
        ("NoClasses", "has no argument 'classes'"),
        ("Fails", "RuntimeError: no luck"),
        ("Missing", "has no nn.Cell 'Missing'"),
        ("helper", "has no nn.Cell 'helper'"),
    ],
)
def test_what_is_no_such_network_is_named(train: Any, kind: str, message: str) -> None:
    done = train(kind)
    assert done.code == 2, done.errors
    assert message in str(done.events("error")[0]["message"])


@pytest.mark.mindspore
def test_a_missing_or_other_file_is_named(train: Any, tmp_path: Path) -> None:
    missing = train("Plain", file=tmp_path / "none.py")
    assert (missing.code, "none.py cannot be read" in str(missing.events("error")[0]["message"])) == (2, True)
    (tmp_path / "other.py").write_text("raise SystemError\n")
    other = train("Plain", file=tmp_path / "other.py")
    assert "is not the file" in str(other.events("error")[0]["message"])


def test_the_registry_knows_it_by_its_name() -> None:
    assert module_of("my_net.py:MyNet") == "models.networks.own"
    assert "models.networks.own" in code_of("train", "my_net.py:MyNet")
    digest = {"network_sha256": "0" * 64}
    assert resolve("quick", {"network": "my_net.py:MyNet", "image_size": 500, **digest}).network == "my_net.py:MyNet"
    for wrong in ({"network": "my_net.py:MyNet"}, {"network": "lenet5", **digest}):
        with pytest.raises(SpecError, match="network_sha256"):
            resolve("quick", wrong)
    with pytest.raises(SpecError, match="unknown"):
        resolve("quick", {"network": "../my_net.py:MyNet", **digest})
