"""What the boot file does around a training, with MindSpore replaced."""

import ast
import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models import main as boot
from models.training import runtime

FAKE = """
calls = []
__version__ = "{version}"
GRAPH_MODE = 0
def note(name):
    return lambda *arguments, **named: calls.append([name, *arguments])
set_context = set_seed = set_deterministic = note("other")
set_auto_parallel_context = note("parallel")
class communication:
    init = note("init")
{rest}
"""


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs `main.py train`; what trains and what exports are functions of the test."""
    data = tmp_path / "data"
    data.mkdir()

    def run(train: Any, export: Any = None, device: str = "CPU") -> Any:
        monkeypatch.setattr(runtime, "prepare", lambda _seed: None)
        monkeypatch.setattr(runtime, "device", lambda: device)
        monkeypatch.setattr(boot, "_builder", lambda _spec: None)
        monkeypatch.setitem(sys.modules, "models.training.loop", SimpleNamespace(train=train))
        monkeypatch.setitem(sys.modules, "models.export", SimpleNamespace(export=export))
        words = ("train", "--data_url", data, "--train_url", tmp_path / "out", "--spec", '{"epochs": 1}')
        return boot.main([*map(str, words)])

    return run


def trained(_spec: Any, _build: Any, _data: Any, folder: Any, _start: Any) -> None:
    assert not (folder / "digests.json").exists(), "the results are not whole yet"
    (folder / "state").mkdir(exist_ok=True)
    (folder / "state" / "last.npz").write_bytes(b"state")
    (folder / "checkpoint.ckpt").write_bytes(b"parameters")


def test_an_air_file_that_cannot_be_made_does_not_spoil_the_training(
    training: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def export(*arguments: Any) -> None:
        (arguments[-1] / "model.air").write_bytes(b"half of it")
        raise RuntimeError("AIR is not what it was")

    assert training(trained, export, device="Ascend") == 0
    said = capsys.readouterr().out
    assert "AIR is not what it was" in said
    assert "@atlasflow" not in said, "an error event would be taken for the job's"
    assert not (tmp_path / "out" / "model.air").exists()
    assert (tmp_path / "out" / "digests.json").exists()


def test_the_results_have_a_list_of_digests_with_the_air_file(training: Any, tmp_path: Path) -> None:
    def export(*arguments: Any) -> None:
        (arguments[-1] / "model.air").write_bytes(b"graph")

    out = tmp_path / "out"
    for _ in range(2):  # the second time an old list is there
        assert training(trained, export, device="Ascend") == 0
    (out / "train.log").write_text("who starts this may still write it")
    expected = {"checkpoint.ckpt": b"parameters", "model.air": b"graph", "state/last.npz": b"state"}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in expected.items()}
    assert json.loads((out / "digests.json").read_text()) == digests


def test_a_training_that_fails_leaves_no_list(training: Any, tmp_path: Path) -> None:
    from models.failures import Interruption

    def train(_spec: Any, _build: Any, _data: Any, folder: Any, _start: Any) -> None:
        trained(_spec, _build, _data, folder, _start)
        raise Interruption("the disk is full")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "digests.json").write_text("{}")
    assert training(train) == 5
    assert not (tmp_path / "out" / "digests.json").exists()


def test_an_engine_that_is_too_old_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boot, "OLDEST_PYTHON", (99, 0))
    assert boot.main(["--data_url=x"]) == 4
    (line,) = capsys.readouterr().out.splitlines()
    error = json.loads(line.removeprefix("@atlasflow "))
    assert (error["event"], error["kind"]) == ("error", "refused")
    assert "modelarts.engine" in error["hint"]


def test_an_old_python_can_read_the_boot_file_to_say_so() -> None:
    ast.parse(Path(boot.__file__).read_text(encoding="utf-8"), feature_version=(3, 7))


def test_unknown_arguments_are_not_matched_by_prefix() -> None:
    words = ["train", "--data_url", "a", "--train_url", "b", "--spec", "{}", "--data", "c", "--train=d", "--s", "e"]
    options, rest = boot._parser().parse_known_args(words)
    assert (options.data_url, options.train_url, options.spec) == (Path("a"), Path("b"), "{}")
    assert rest == ["--data", "c", "--train=d", "--s", "e"]


@pytest.fixture
def prepared(run: Any, tmp_path: Path) -> Any:
    """What `prepare` asks of MindSpore on an Ascend device: `prepared(DEVICE_ID="3")`."""

    def ask(rest: str = 'set_device = note("device")', version: str = "2.10.0", **environment: Any) -> Any:
        (tmp_path / "mindspore.py").write_text(FAKE.format(version=version, rest=rest))
        script = tmp_path / "prepare.py"
        script.write_text(
            "import json\n"
            "from models import failures\nfrom models.training import runtime\n"
            "runtime.device = lambda: 'Ascend'\n"
            "try: runtime.prepare(1)\n"
            "except failures.Failure as failure: print(json.dumps([failure.kind, failure.message]))\n"
            "else:\n"
            "    import mindspore\n"
            "    print(json.dumps([call for call in mindspore.calls if call[0] != 'other']))\n"
        )
        path = f"{tmp_path}:{Path(boot.__file__).parents[1]}"
        done = run(main=script, environment={"PYTHONPATH": path, **environment})
        assert done.code == 0, done.errors
        return json.loads(done.lines[-1])

    return ask


@pytest.mark.parametrize(
    ("environment", "calls"),
    [
        ({}, [["device", "Ascend", 0]]),
        (
            {"DEVICE_ID": "3", "RANK_ID": "3", "RANK_SIZE": "8", "RANK_TABLE_FILE": "/x"},
            [["device", "Ascend", 3], ["init"], ["parallel"]],
        ),
        ({"MS_ROLE": "MS_WORKER", "DEVICE_ID": "3"}, [["device", "Ascend"], ["init"], ["parallel"]]),
    ],
)
def test_every_process_takes_its_own_device(prepared: Any, environment: Any, calls: Any) -> None:
    assert prepared(**environment) == calls


def test_a_mindspore_that_is_too_old_is_refused(prepared: Any) -> None:
    kind, message = prepared(rest="", version="1.6.0")
    assert kind == "refused"
    assert "1.6.0" in message
