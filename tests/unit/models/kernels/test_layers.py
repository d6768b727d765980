import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from models.kernels import build

PROGRAM = Path(__file__).with_name("compare_kernels.py")
SPEC = '{"network": "resnet20", "width": 0.5, "epochs": 2, "batch_size": 20}'

needs_kernels = pytest.mark.usefixtures("kernels")
needs_compiler = pytest.mark.skipif(build._folder() is None, reason="no compiler here, or no oneDNN for it")


@pytest.fixture
def kernels() -> Path:
    """The compiled kernels. (Not asked for at import: the first time compiles them.)"""
    library = build.library()
    if library is None:
        pytest.skip(f"no kernels here: {build.unavailable_reason()}")
    return library


def compare(run: Any, *what: str) -> dict[str, float]:
    done = run(*what, main=PROGRAM)
    assert done.code == 0, done.errors
    compared: dict[str, float] = json.loads(done.lines[-1])
    return compared


@needs_kernels
@pytest.mark.mindspore
@pytest.mark.slow
def test_every_kernel_computes_what_mindspore_computes(run: Any) -> None:
    differences = compare(run, "layers")
    assert len(differences) == 21
    assert {name: value for name, value in differences.items() if not value < 1e-5} == {}


@needs_kernels
@pytest.mark.mindspore
@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        "lenet5",
        "compact",
        "mobilenetv2",
        "fast94",
        "fast94 of 23 pixels",
        "resnet20",
        "resnet18",
        "resnet50",
        "resnet50 3x3",
    ],
)
def test_the_gradients_of_a_network_are_those_of_mindspore(run: Any, network: str) -> None:
    (difference,) = compare(run, "networks", network).values()
    assert difference < (1e-3 if network == "mobilenetv2" else 1e-4)  # it has 52 normalisations in a row


@needs_kernels
@pytest.mark.mindspore
@pytest.mark.slow
@pytest.mark.skipif(not build.processor_has("avx512_bf16", "amx_bf16"), reason="no bfloat16 here")
def test_gradients_in_bfloat16_differ_by_its_rounding(run: Any) -> None:
    """Eight bits of each factor: at most 0.8 % of a product, and less of most sums."""
    (difference,) = compare(run, "bfloat16").values()
    assert 1e-4 < difference < 8e-3


@pytest.mark.mindspore
def test_bfloat16_is_refused_where_no_kernel_computes_with_it(run: Any, data: Any, tmp_path: Path) -> None:
    spec = '{"precision": "bfloat16", "mode": "pynative"}'
    done = run("train", "--data_url", data, "--train_url", tmp_path / "out", "--spec", spec)
    assert done.code == 4
    (error,) = done.events("error")
    assert "no bfloat16 here, as it needs the compiled kernels" in str(error["message"])


@needs_kernels
@pytest.mark.mindspore
@pytest.mark.slow
def test_training_with_kernels_repeats_to_the_bit_and_learns_what_mindspore_learns(
    run: Any, data: Any, tmp_path: Path
) -> None:
    def trained(name: str, **environment: str) -> dict[str, object]:
        place = tmp_path / name
        options = ("--data_url", data, "--train_url", place, "--spec", SPEC)
        done = run("train", *options, environment=environment)
        assert done.code == 0, done.errors
        result: dict[str, object] = json.loads((place / "result.json").read_text())
        return result

    first, again, stock = trained("first"), trained("again"), trained("stock", **{build.SWITCH: "off"})
    assert (first["compiled_kernels"], stock["compiled_kernels"]) == (True, False)
    assert first == again
    assert first["loss"] == pytest.approx(stock["loss"], rel=1e-2)


@needs_kernels
@pytest.mark.mindspore
@pytest.mark.slow
def test_what_is_exported_after_training_with_kernels_has_plain_operators(run: Any, data: Any, tmp_path: Path) -> None:
    import onnx

    options = ("--data_url", data, "--spec", SPEC)
    assert run("train", *options, "--train_url", tmp_path / "run").code == 0
    checkpoint = tmp_path / "run" / "checkpoint.ckpt"
    done = run("export", *options, "--checkpoint", checkpoint, "--output", tmp_path / "out", "--format", "onnx")
    assert done.code == 0, done.errors
    used = {node.op_type for node in onnx.load(str(tmp_path / "out" / "model.onnx")).graph.node}
    assert {"Conv", "Relu", "MaxPool", "Gemm"} <= used
    assert "Custom" not in used


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "150000\n"}, 8),
    ],
)
def test_there_are_as_many_threads_as_affinity_and_quota_allow(
    files: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert build.cores(tmp_path) == expected


@needs_kernels
@pytest.mark.mindspore
@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4, 8])
def test_any_number_of_threads_computes_the_same(run: Any, threads: int) -> None:
    """More than there are cores, too; two is what the other tests have on two cores."""
    done = run("networks", "compact", main=PROGRAM, environment={"COMPARED_THREADS": str(threads)})
    assert done.code == 0, done.errors
    assert json.loads(done.lines[-1])["compact"] < 1e-4


@needs_kernels
def test_swish_is_exact_to_rounding_and_a_forked_process_computes_too() -> None:
    library = build.library()
    assert library is not None
    done = subprocess.run(
        [sys.executable, PROGRAM.with_name("call_kernels.py"), library], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["swish"] < 1e-5
    assert found["relative"] < 1e-6
    assert found["gradient"] < 1e-6
    assert found["odd"][:2] == ["nan", "inf"]
    assert float(found["odd"][2]) > 2.9e38
    assert [float(value) for value in found["odd"][3:]] == pytest.approx([0.0, 0.0], abs=1e-8)
    assert found["fork"]


def test_kernels_need_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.library() is None
    assert build.unavailable_reason()


@pytest.mark.mindspore
def test_without_a_compiler_a_network_trains_to_the_same_results_as_with_the_kernels_off(
    run: Any, data: Any, tmp_path: Path
) -> None:
    def trained(name: Any, **environment: Any) -> Any:
        options = ("--data_url", data, "--train_url", tmp_path / name, "--spec", '{"epochs": 2, "batch_size": 20}')
        done = run("train", *options, environment=environment)
        assert done.code == 0, done.errors
        return done.lines, json.loads((tmp_path / name / "result.json").read_text())

    lines, result = trained("none", PATH=str(tmp_path / "empty"))
    assert any(line.startswith("training with MindSpore's own kernels: ") for line in lines)
    assert result["compiled_kernels"] is False
    assert result == trained("off", **{build.SWITCH: "off"})[1]


def test_kernels_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(build.SWITCH, "off")
    assert build.library() is None
    assert build.unavailable_reason() == "ATLASFLOW_KERNELS is off"


@needs_compiler
def test_a_compiler_that_fails_is_asked_once_and_its_words_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    compiler = tmp_path / "bin" / "c++"
    compiler.parent.mkdir()
    compiler.write_text(f"#!/bin/sh\necho x >> {calls}\necho 'no such header' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent), prepend=os.pathsep)
    monkeypatch.setenv(build.SWITCH, str(tmp_path / "cache"))
    assert build.library() is None
    assert build.library() is None
    assert calls.read_text() == "x\n"
    (reason,) = (tmp_path / "cache").rglob("failed.txt")
    assert "no such header" in reason.read_text()
    assert str(reason) in build.unavailable_reason()
    assert [path for path in reason.parent.parent.iterdir() if path != reason.parent] == []


@needs_compiler
@pytest.mark.parametrize(
    ("script", "seconds", "reason"),
    [
        ("kill -KILL $$", 300, "was killed"),
        ("echo 'fatal error: Killed signal terminated program cc1plus' >&2; exit 1", 300, "was killed"),
        ("exec sleep 60", 0.2, "took more than"),
    ],
)
def test_a_compiler_that_is_ended_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, seconds: float, reason: str
) -> None:
    compiler = tmp_path / "bin" / "c++"
    compiler.parent.mkdir()
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent), prepend=os.pathsep)
    monkeypatch.setenv(build.SWITCH, str(tmp_path / "cache"))
    monkeypatch.setattr(build, "_SECONDS", seconds)
    assert build.library() is None
    assert reason in build.unavailable_reason()
    assert list((tmp_path / "cache").iterdir()) == []


@needs_compiler
def test_a_folder_that_cannot_be_written_means_no_kernels_this_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv(build.SWITCH, str(file / "kernels"))
    assert build.library() is None
    assert str(file) in build.unavailable_reason()
    monkeypatch.setenv(build.SWITCH, "off")
    assert build.library() is None
    assert build.unavailable_reason() == "ATLASFLOW_KERNELS is off"


@needs_kernels
@pytest.mark.mindspore
@pytest.mark.parametrize("hindrance", ["folder", "start"])
def test_training_goes_on_without_kernels_that_cannot_be_had(
    run: Any, data: Any, tmp_path: Path, hindrance: str
) -> None:
    """A file stands where the folder of the kernels should be; or they are there, but do not start."""
    file = tmp_path / "file"
    file.touch()
    program = tmp_path / "train.py"
    program.write_text(
        "import sys\n"
        "from models.kernels import build; from models import main\n"
        "def start(path, threads):\n"
        "    raise RuntimeError(f'the kernels {path} do not start')\n"
        f"if {hindrance == 'start'}:\n"
        "    build.start = start\n"
        "sys.exit(main.main())\n"
    )
    environment = {build.SWITCH: str(file / "kernels")} if hindrance == "folder" else {}
    options = ("--data_url", data, "--train_url", tmp_path / "out", "--spec", '{"epochs": 1, "batch_size": 20}')
    done = run("train", *options, main=program, environment=environment)
    assert done.code == 0, done.errors
    (said,) = [line for line in done.lines if line.startswith("training with MindSpore's own kernels: ")]
    assert (str(file) if hindrance == "folder" else "do not start") in said
    assert json.loads((tmp_path / "out" / "result.json").read_text())["compiled_kernels"] is False


@pytest.mark.slow
def test_kernels_that_nobody_used_for_long_make_room_and_others_stay(
    kernels: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another environment may share the folder, and MindSpore opens the library anew while it trains."""
    # A compiler that has the same result at once.
    compiler = tmp_path / "bin" / "c++"
    compiler.parent.mkdir()
    compiler.write_text(f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\nexec cp {kernels} "$2"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent), prepend=os.pathsep)
    monkeypatch.setenv(build.SWITCH, str(tmp_path))
    folder_now = build._folder()
    assert folder_now is not None
    older, other = (tmp_path / (digit * len(folder_now.name)) for digit in "01")
    long_ago = time.time() - build._UNUSED_SECONDS - 60
    for folder in (older, other):
        folder.mkdir()
    os.utime(older, (long_ago, long_ago))
    (tmp_path / "notes.txt").touch()
    library = build.library()
    assert library is not None
    mine = library.parent
    assert mine.parent == tmp_path
    assert not older.exists()
    assert other.exists()
    os.utime(mine, (long_ago, long_ago))
    library = build.library()
    assert library is not None
    assert library.parent == mine
    assert mine.stat().st_mtime > long_ago, "to use them is noted"
    assert (tmp_path / "notes.txt").exists()


@needs_compiler
def test_a_changed_source_is_another_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "kernels"
    shutil.copytree(Path(build.__file__).parent, copy)
    before = build._folder()
    monkeypatch.setattr(build, "_HERE", copy)
    assert build._folder() == before
    (copy / "pool.cc").write_text((copy / "pool.cc").read_text() + "// more\n")
    assert build._folder() != before
