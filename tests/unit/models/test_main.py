"""The boot file as others start it: a process, arguments, lines and exit codes."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.models.calls import MAIN, SPEC, evaluate, result, train

pytestmark = pytest.mark.mindspore


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = (
        "import sys, runpy; sys.argv = ['main.py', '--help']\n"
        f"try: runpy.run_path({str(MAIN)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('mindspore', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == 0


def test_training_leaves_its_results(trained: Any) -> None:
    _, folder, lines = trained
    assert {path.name for path in folder.iterdir()} == {
        ".lock",
        "best.ckpt",
        "checkpoint.ckpt",
        "digests.json",
        "history.csv",
        "history.jsonl",
        "result.json",
        "state",
        "steps.csv",
    }
    assert (folder / "checkpoint.ckpt").stat().st_mode & 0o777 == 0o644
    assert result(folder)["parameter_count"] == 61_984
    assert result(folder)["accuracy"] > 0.5
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])
    assert [json.loads(line)["epoch"] for line in (folder / "history.jsonl").read_text().splitlines()] == [1, 2, 3]
    events = [json.loads(line.split(" ", 1)[1]) for line in lines if line.startswith("@atlasflow ")]
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2, 3]
    assert {"epochs", "loss", "accuracy", "step_ms", "images_per_second"} <= set(events[0])


def step_rows(folder: Any) -> Any:
    with (folder / "steps.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_step_has_its_loss_and_learning_rate(trained: Any) -> None:
    _, folder, lines = trained
    rows = step_rows(folder)
    assert [int(row["step"]) for row in rows] == list(range(1, 31))
    assert [int(row["epoch"]) for row in rows] == sorted([1, 2, 3] * 10)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    for epoch in history:
        of_epoch = [row for row in rows if int(row["epoch"]) == epoch["epoch"]]
        assert sum(float(row["loss"]) for row in of_epoch) / 10 == pytest.approx(epoch["loss"], rel=1e-7)
        assert float(of_epoch[-1]["learning_rate"]) == pytest.approx(epoch["learning_rate"], rel=1e-7)
    said = next(line for line in lines if line.startswith("epoch: 3 step 10, loss is "))
    assert float(rows[-1]["loss"]) == pytest.approx(float(said.rpartition(" ")[2]), rel=1e-7)


def test_lines_have_the_tutorial_s_wording(trained: Any) -> None:
    lines = trained[2]
    assert any(line.startswith("epoch: 1 step 10, loss is ") for line in lines)
    wording = [line for line in lines if line.startswith("epoch 2 cost time = ")]
    assert "train step num: 10, one step time: " in wording[0]
    assert " ms, train samples per second of cluster: " in wording[0]
    assert lines[-2:] == ["Start run evaluation.", f"Evaluation result: {{'acc': {result(trained[1])['accuracy']}}}."]


def test_the_same_seed_gives_the_same_parameters(trained: Any, run: Any, tmp_path: Path) -> None:
    data, folder, _ = trained
    assert train(run, data, tmp_path / "again").code == 0
    assert (tmp_path / "again" / "result.json").read_bytes() == (folder / "result.json").read_bytes()
    assert (tmp_path / "again" / "checkpoint.ckpt").read_bytes() == (folder / "checkpoint.ckpt").read_bytes()
    other = json.dumps({**json.loads(SPEC), "seed": 2})
    assert train(run, data, tmp_path / "other", other).code == 0
    assert result(tmp_path / "other")["parameters_sha256"] != result(folder)["parameters_sha256"]


def test_a_killed_training_resumes_to_the_same_parameters(
    trained: Any, run: Any, kill_training: Any, tmp_path: Path
) -> None:
    data, folder, _ = trained
    kill_training(data, tmp_path, SPEC)
    again = train(run, data, tmp_path)
    assert again.code == 0, again.errors
    assert any(line.startswith("resumed after epoch ") for line in again.lines)
    assert 1 <= len(again.events("epoch")) <= 2
    assert (tmp_path / "result.json").read_bytes() == (folder / "result.json").read_bytes()
    assert (tmp_path / "best.ckpt").read_bytes() == (folder / "best.ckpt").read_bytes()


def test_a_damaged_or_foreign_state_starts_again(trained: Any, run: Any, tmp_path: Path) -> None:
    data, folder, _ = trained
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "last.npz").write_bytes((folder / "state" / "last.npz").read_bytes()[:-100])
    damaged = train(run, data, tmp_path)
    assert any("is damaged" in line for line in damaged.lines)
    assert result(tmp_path) == result(folder)
    foreign = train(run, data, tmp_path, json.dumps({**json.loads(SPEC), "epochs": 1}))
    assert any("belongs to another training" in line for line in foreign.lines)
    assert result(tmp_path)["epochs"] == 1


def test_a_finished_training_is_not_repeated(trained: Any, run: Any) -> None:
    data, folder, _ = trained
    before = (folder / "result.json").read_bytes()
    again = train(run, data, folder)
    assert again.code == 0
    assert again.events("epoch") == []
    assert (folder / "result.json").read_bytes() == before


def test_two_trainings_do_not_share_a_folder(run: Any, data: Any, tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = train(run, data, tmp_path)
    assert refused.code == 5
    assert refused.events("error")[0]["kind"] == "transient"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ('{"network": "lenet"}', "network: "),
        ('{"epoch": 3}', "epoch: "),
        ('{"batch_size": 201}', "batch_size: 201"),
        ('{"image_size": 224}', "image_size: "),
        ("/no/such/file", "--spec: /no/such/file"),
    ],
)
def test_a_bad_specification_ends_with_two(run: Any, data: Any, tmp_path: Path, spec: str, message: str) -> None:
    refused = train(run, data, tmp_path / "out", spec)
    error = refused.events("error")[0]
    assert (refused.code, error["kind"]) == (2, "user")
    assert str(error["message"]).startswith(message)


def test_a_truncated_data_file_ends_with_six(run: Any, data: Any, tmp_path: Path) -> None:
    (data / "train" / "data_batch_1.bin").write_bytes(b"\0" * 3000)
    damaged = train(run, data, tmp_path / "out")
    assert (damaged.code, damaged.events("error")[0]["kind"]) == (6, "corrupt")


def test_a_process_that_is_quiet_tells_its_error_to_standard_error(run: Any, data: Any, tmp_path: Path) -> None:
    (data / "train" / "data_batch_3.bin").write_bytes(b"\0" * 3000)
    failed = train(run, data, tmp_path / "out", environment={"RANK_ID": "1"})
    assert failed.code == 6
    assert failed.lines == []
    assert "data_batch_3.bin has 3,000 bytes" in failed.errors
    assert "fetch the data set again" in failed.errors


def test_a_diverging_training_keeps_the_last_good_checkpoint(run: Any, data: Any, tmp_path: Path) -> None:
    """The learning rate rises from 0 to far too much, so that some epochs are good."""
    rising = {"learning_rate": 0.7, "warmup_epochs": 7, "schedule": "constant"}
    stopped = train(run, data, tmp_path, json.dumps({"epochs": 8, "batch_size": 20, **rising}))
    assert stopped.code == 2
    (error,), good = stopped.events("error"), stopped.events("epoch")
    assert 1 <= len(good) < 8
    assert str(error["message"]).startswith(f"epoch {len(good) + 1}: ")
    assert str(error["message"]).endswith(f"; checkpoint.ckpt is from epoch {len(good)}")
    assert "learning_rate" in str(error["hint"])
    assert evaluate(run, data, tmp_path / "checkpoint.ckpt", tmp_path / "kept").code == 0
    metrics = json.loads((tmp_path / "kept" / "metrics.json").read_text())
    assert (metrics["accuracy"], metrics["loss"]) == (good[-1]["accuracy"], pytest.approx(good[-1]["evaluation_loss"]))
    assert np.isfinite(metrics["loss"])


# What goes wrong in the second epoch: every loss is no number, or that on the evaluation images is infinite.
POISONS = {
    "loss": """
from models.data import pipeline
clean = pipeline.Pipeline.epoch
def epoch(self, number):
    for images, labels in clean(self, number):
        yield images * float("nan") if number == 2 else images, labels
pipeline.Pipeline.epoch = epoch
""",
    "evaluation": """
from models.training import scoring
clean, calls = scoring.cross_entropy, []
def cross_entropy(logits, labels):
    calls.append(1)
    return float("inf") if len(calls) == 2 else clean(logits, labels)
scoring.cross_entropy = cross_entropy
""",
}


@pytest.mark.parametrize("poison", POISONS)
def test_a_loss_of_nan_or_infinity_stops_at_the_last_good_checkpoint(
    trained: Any, run: Any, tmp_path: Path, poison: Any
) -> None:
    data, folder, _ = trained
    script = tmp_path / "poisoned.py"
    script.write_text(f"import sys\n{POISONS[poison]}\nfrom models import main\nsys.exit(main.main())\n")
    stopped = train(run, data, tmp_path / "out", main=script)
    error = stopped.events("error")[0]
    assert (stopped.code, error["kind"]) == (2, "user")
    assert str(error["message"]).startswith("epoch 2: ")
    assert str(error["message"]).endswith("; checkpoint.ckpt is from epoch 1")
    assert [event["epoch"] for event in stopped.events("epoch")] == [1]
    assert len((tmp_path / "out" / "history.jsonl").read_text().splitlines()) == 1
    assert evaluate(run, data, tmp_path / "out" / "checkpoint.ckpt", tmp_path / "kept").code == 0
    metrics = json.loads((tmp_path / "kept" / "metrics.json").read_text())
    assert metrics["accuracy"] == stopped.events("epoch")[0]["accuracy"]
    assert train(run, data, tmp_path / "out").code == 0
    assert result(tmp_path / "out") == result(folder)
    assert step_rows(tmp_path / "out") == step_rows(folder)


def test_best_and_last_are_kept(trained: Any, run: Any, tmp_path: Path) -> None:
    data, folder, _ = trained
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    best = max(rows, key=lambda row: row["accuracy"])
    assert (result(folder)["best_epoch"], result(folder)["best_accuracy"]) == (best["epoch"], best["accuracy"])
    for name, row in (("best", best), ("checkpoint", rows[-1])):
        assert evaluate(run, data, folder / f"{name}.ckpt", tmp_path / name).code == 0
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert (metrics["accuracy"], metrics["loss"]) == (row["accuracy"], pytest.approx(row["evaluation_loss"]))
    assert all(row["peak_memory_mb"] > 50 and row["seconds"] > 0 for row in rows)


def test_training_ends_with_its_parent(data: Any, tmp_path: Path) -> None:
    spec = json.dumps({"epochs": 5000, "batch_size": 20})
    process = subprocess.Popen(
        [sys.executable, MAIN, "train", "--data_url", data, "--train_url", tmp_path, "--spec", spec],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ATLASFLOW_EXIT_WITH_STDIN": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline()
    began = time.monotonic()
    process.stdin.close()
    assert process.wait(timeout=30) == 143
    process.stdout.close()
    assert time.monotonic() - began < 20


def test_a_copy_under_another_name_works(trained: Any, run: Any, tmp_path: Path) -> None:
    data, folder, _ = trained
    copy = tmp_path / "code"  # the standard library has a module of this name
    shutil.copytree(MAIN.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    done = train(run, data, tmp_path / "out", main=copy / "main.py", environment={"PYTHONPATH": ""})
    assert done.code == 0, done.errors
    assert result(tmp_path / "out") == result(folder)


def test_a_full_disk_leaves_the_last_checkpoint_and_can_be_continued(
    trained: Any, run: Any, kill_training: Any, tmp_path: Path
) -> None:
    """A limit on the size of files stands in for a full disk: writing fails in the same places."""
    data, folder, _ = trained
    out = tmp_path / "out"
    kill_training(data, out, SPEC)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "from models import main\n"
        "sys.exit(main.main())\n"
    )
    full = train(run, data, out, main=script)
    assert full.code == 5
    assert full.events("error")[0]["kind"] == "transient"
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert train(run, data, out).code == 0
    assert result(out) == result(folder)


def test_a_new_folder_goes_on_with_what_an_earlier_run_left(
    trained: Any, run: Any, kill_training: Any, tmp_path: Path
) -> None:
    """As a training service starts it: without a command, the specification in the environment, an empty container."""
    data, folder, _ = trained
    kill_training(data, tmp_path / "earlier", SPEC)
    done = run(
        *("--data_url", data, "--train_url", tmp_path / "new", "--resume_url", tmp_path / "earlier", "--unknown=1"),
        environment={"ATLASFLOW_SPEC": SPEC},
    )
    assert done.code == 0, done.errors
    assert any(line.startswith("resumed after epoch ") for line in done.lines)
    assert result(tmp_path / "new") == result(folder)
