import json
import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient, UserError
from infra.home import CHECKOUT
from infra.local_training import protocol
from infra.local_training.trainer import LocalTrainer, run_model
from infra.ports.training import TrainJob

KEY = "ab" * 32


def test_results_lie_in_the_folder_and_lines_arrive(fake_main, job):
    seen = []
    todo = job()
    LocalTrainer(fake_main).train(todo, seen.append)
    assert seen[0] == "fake train"
    assert [protocol.event(line)["epoch"] for line in seen[1:]] == [1, 2]
    assert json.loads((todo.folder / "history.json").read_text()) == {"epochs": 2}
    assert json.loads((todo.folder / "spec.json").read_text()) == {"epochs": 2}
    assert (todo.folder / "train.log").read_text().splitlines() == seen


def test_an_interrupted_training_goes_on_where_it_was(fake_main, job):
    with pytest.raises(Transient):
        LocalTrainer(fake_main).train(job(epochs=3, break_after=1), print)
    seen = []
    LocalTrainer(fake_main).train(job(epochs=3), seen.append)
    assert [protocol.event(line)["epoch"] for line in seen[1:]] == [2, 3]


@pytest.mark.parametrize(
    ("kind", "expected"), [("user", UserError), ("refused", Refused), ("corrupt", Corrupt), ("transient", Transient)]
)
def test_error_events_become_our_errors(fake_main, job, kind, expected):
    with pytest.raises(expected, match="the label is 11") as caught:
        LocalTrainer(fake_main).train(
            job(error={"kind": kind, "message": "the label is 11", "hint": "look"}, exit=1), print
        )
    assert type(caught.value) is expected
    assert caught.value.hint == "look"


@pytest.mark.parametrize(
    ("code", "expected"), [(1, AtlasFlowError), (2, UserError), (4, Refused), (5, Transient), (6, Corrupt)]
)
def test_exit_codes_without_an_event(fake_main, job, code, expected):
    with pytest.raises(AtlasFlowError, match="about to end") as caught:
        LocalTrainer(fake_main).train(job(exit=code), print)
    assert type(caught.value) is expected


def test_a_kill_is_transient_and_points_at_memory(fake_main, job):
    with pytest.raises(Transient, match="SIGKILL") as caught:
        LocalTrainer(fake_main).train(job(signal=signal.SIGKILL), print)
    assert "memory" in caught.value.hint


def test_a_crash_is_not_transient(fake_main, job):
    with pytest.raises(AtlasFlowError) as caught:
        LocalTrainer(fake_main).train(job(signal=signal.SIGSEGV), print)
    assert type(caught.value) is AtlasFlowError


def test_a_time_limit_ends_the_program(fake_main, job, tmp_path):
    todo = job(pid_file=str(tmp_path / "pid"))
    (todo.folder / "spec.json").write_text(json.dumps(todo.spec))
    arguments = {"data_url": str(todo.data), "train_url": str(todo.folder), "spec": str(todo.folder / "spec.json")}
    before = set(psutil.Process().children())
    with pytest.raises(Transient, match="stopped after"):
        run_model("train", arguments, print, main=fake_main, seconds=1)
    assert set(psutil.Process().children()) <= before


def test_the_program_ends_when_we_are_killed(fake_main, job, tmp_path):
    todo = job(pid_file=str(tmp_path / "pid"))
    script = f"""
        from pathlib import Path
        from infra.ports.training import TrainJob
        from infra.local_training.trainer import LocalTrainer
        job = TrainJob("{KEY}", Path("{todo.data}"), {dict(todo.spec)!r}, Path("{todo.folder}"))
        LocalTrainer(Path("{fake_main}")).train(job, print)
    """
    us = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    try:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert us.poll() is None
        program = psutil.Process(int((tmp_path / "pid").read_text()))
        os.kill(us.pid, signal.SIGKILL)
        assert program.wait(timeout=20) in (None, 143)
    finally:
        us.kill()
        us.wait()


def test_an_exception_in_the_receiver_ends_the_program(fake_main, job, tmp_path):
    def receive(line):
        raise KeyboardInterrupt

    before = set(psutil.Process().children())
    with pytest.raises(KeyboardInterrupt):
        LocalTrainer(fake_main).train(job(pid_file=str(tmp_path / "pid")), receive)
    assert set(psutil.Process().children()) <= before


def test_missing_data_and_missing_program(fake_main, job, tmp_path):
    todo = job()
    with pytest.raises(UserError, match="not a folder"):
        LocalTrainer(fake_main).train(TrainJob(KEY, tmp_path / "absent", todo.spec, todo.folder), print)
    with pytest.raises(UserError, match=r"there is no .*main\.py"):
        LocalTrainer(tmp_path / "main.py").train(todo, print)


def test_the_producer_names_mindspore_without_importing_it():
    code = (
        "import sys; from infra.local_training.trainer import LocalTrainer; p = LocalTrainer().producer();"
        "print(p.name, p.version, p.emulated, sorted(p.details), 'mindspore' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    name, version, emulated, *rest = out.split(" ", 3)
    assert (name, emulated) == ("mindspore-cpu", "False")
    assert version.startswith("2.")
    assert rest[0].strip().endswith("False")


def test_the_cores_in_use_are_part_of_the_producer():
    code = (
        "import os; from infra.local_training.trainer import processor; first = processor();"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(first, processor())"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert f"'cores': '{len(os.sched_getaffinity(0))}'" in out
    assert out.rstrip().endswith("'cores': '1'}")


@pytest.mark.parametrize("line", ["text", "@atlasflow ", "@atlasflow []", "@atlasflow {", '@atlasflow {"a": 1}'])
def test_other_lines_are_no_events(line):
    assert protocol.event(line) is None
