"""Scripts for MindSpore 1.x on this MindSpore, in a process that has the layer on its module path."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from infra.modelarts.emulator.container import COMPATIBILITY

OLD_SCRIPT = Path(__file__).with_name("old_script.py.txt")


def run(*arguments: str, path: tuple[Path, ...] = (), folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, (COMPATIBILITY, *path))),
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "GLOG_v": "3",
    }
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def fake_mindspore(folder: Path, version: str) -> Path:
    """Write a package that only says its version."""
    (folder / "mindspore").mkdir()
    (folder / "mindspore" / "__init__.py").write_text(f"__version__ = '{version}'\n")
    return folder


@pytest.mark.slow
@pytest.mark.mindspore
def test_an_old_script_trains(tmp_path: Path) -> None:
    records = np.random.default_rng(0).integers(0, 256, (10_000, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data_batch_1.bin").write_bytes(records.tobytes())
    (tmp_path / "script.py").write_text(OLD_SCRIPT.read_text())
    done = run(str(tmp_path / "script.py"), str(tmp_path / "data"), str(tmp_path / "ckpt"), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for line in (
        "first (32, 3, 32, 32) int32",
        "columns ['b', 'a']",
        "picture (3, 4, 6)",
        "kept ['old-2_3.ckpt']",
        "result ['acc']",
        "graph [1.] loss 1.0",
        "scaled True True True",
        "mindspore.ops.operations.FusedBatchNorm was in MindSpore 1.x: use mindspore.ops.BatchNorm",
    ):
        assert line in lines, done.stdout
    assert sum(line.startswith("epoch: ") and " step: 3, loss is " in line for line in lines) == 2
    notices = [line for line in done.stderr.splitlines() if line.startswith("MindSpore 1.x: ")]
    assert len(notices) == len(set(notices)), "each once"
    for text in ("no Ascend device", "enable_loop_sink", "num_parallel_workers=64", "is_grad", "amp_level=O2"):
        assert any(text in notice for notice in notices), text


def test_what_has_gone_names_its_replacement(tmp_path: Path) -> None:
    place = fake_mindspore(tmp_path, "2.10.0")
    (place / "mindspore" / "__init__.py").write_text("__version__ = '1.9'\n")
    done = run("-c", "from mindspore.model_zoo.resnet import resnet50", path=(place,))
    assert done.returncode == 1
    assert "mindspore.model_zoo was in MindSpore 1.x: the networks of the model zoo" in done.stderr


def test_a_real_old_version_is_left_alone(tmp_path: Path) -> None:
    place = fake_mindspore(tmp_path, "1.6.0")
    assert run("-c", "import mindspore; print(mindspore.__version__)", path=(place,)).stdout == "1.6.0\n"


def test_it_must_come_before_mindspore(tmp_path: Path) -> None:
    place = fake_mindspore(tmp_path, "1.6.0")
    program = "import mindspore, mindspore1x, sys; sys.meta_path.pop(0); mindspore1x.install()"
    assert "must come before the first import" in run("-c", program, path=(place,)).stderr


def test_another_sitecustomize_runs_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other one')\n")
    done = run("-c", "import mindspore1x, sys; print(mindspore1x.install())", path=(tmp_path,))
    assert done.stdout == "the other one\nNone\n"
