import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient, UserError
from infra.home import CHECKOUT
from infra.local_training.trainer import LocalTrainer, run_model
from infra.ports.training import TrainEvent, TrainJob
from tests.unit.infra.local_training.conftest import KEY
from tests.unit.infra.local_training.doubles import Recorder, ignore

MakeJob = Callable[..., TrainJob]


def test_results_and_events(fake_main: Path, job: MakeJob) -> None:
    recorder, todo = Recorder(), job()
    LocalTrainer(fake_main).train(todo, recorder)
    assert recorder.log == ["fake train"]
    assert recorder.epochs == [1, 2]
    assert json.loads((todo.folder / "history.json").read_text()) == {"epochs": 2}
    assert json.loads((todo.folder / "spec.json").read_text()) == {"epochs": 2}
    assert [line.split()[0] for line in (todo.folder / "train.log").read_text().splitlines()] == [
        "fake",
        "@atlasflow",
        "@atlasflow",
    ]


def test_an_interrupted_training_resumes(fake_main: Path, job: MakeJob) -> None:
    recorder = Recorder()
    with pytest.raises(Transient):
        LocalTrainer(fake_main).train(job(epochs=3, break_after=1), ignore)
    LocalTrainer(fake_main).train(job(epochs=3), recorder)
    assert recorder.epochs == [2, 3]


@pytest.mark.parametrize(
    ("kind", "expected"), [("user", UserError), ("refused", Refused), ("corrupt", Corrupt), ("transient", Transient)]
)
def test_error_events_decide_the_class(
    fake_main: Path, job: MakeJob, kind: str, expected: type[AtlasFlowError]
) -> None:
    error = {"kind": kind, "message": "the label is 11", "hint": "look"}
    with pytest.raises(expected, match="the label is 11") as caught:
        LocalTrainer(fake_main).train(job(error=error, exit=1), ignore)
    assert type(caught.value) is expected
    assert caught.value.hint == "look"


@pytest.mark.parametrize(
    ("code", "expected"), [(1, AtlasFlowError), (2, UserError), (4, Refused), (5, Transient), (6, Corrupt)]
)
def test_exit_codes_decide_the_class_without_an_error_event(
    fake_main: Path, job: MakeJob, code: int, expected: type[AtlasFlowError]
) -> None:
    with pytest.raises(AtlasFlowError, match="about to end") as caught:
        LocalTrainer(fake_main).train(job(exit=code), ignore)
    assert type(caught.value) is expected


def test_a_kill_is_transient_and_hints_at_memory(fake_main: Path, job: MakeJob) -> None:
    with pytest.raises(Transient, match="SIGKILL") as caught:
        LocalTrainer(fake_main).train(job(signal=signal.SIGKILL), ignore)
    assert "memory" in caught.value.hint


def test_a_crash_is_not_transient(fake_main: Path, job: MakeJob) -> None:
    with pytest.raises(AtlasFlowError) as caught:
        LocalTrainer(fake_main).train(job(signal=signal.SIGSEGV), ignore)
    assert type(caught.value) is AtlasFlowError


def test_a_time_limit_ends_the_program(fake_main: Path, job: MakeJob, tmp_path: Path) -> None:
    todo = job(pid_file=str(tmp_path / "pid"))
    (todo.folder / "spec.json").write_text(json.dumps(todo.spec))
    arguments = {"data_url": str(todo.data), "train_url": str(todo.folder), "spec": str(todo.folder / "spec.json")}
    before = set(psutil.Process().children())
    with pytest.raises(Transient, match="stopped after"):
        run_model("train", arguments, main=fake_main, seconds=0.5)
    assert set(psutil.Process().children()) <= before


def test_the_program_ends_when_this_process_is_killed(fake_main: Path, job: MakeJob, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    todo = job(pid_file=str(pid_file))
    script = f"""
        from pathlib import Path
        from infra.ports.training import TrainJob
        from infra.local_training.trainer import LocalTrainer
        job = TrainJob("{KEY}", Path("{todo.data}"), {dict(todo.spec)!r}, Path("{todo.folder}"))
        LocalTrainer(Path("{fake_main}")).train(job, print)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    try:
        while not pid_file.exists():
            assert parent.poll() is None
            time.sleep(0.01)
        program = psutil.Process(int(pid_file.read_text()))
        os.kill(parent.pid, signal.SIGKILL)
        assert program.wait(timeout=20) in (None, 143)
    finally:
        parent.kill()
        parent.wait()


def test_an_exception_in_the_listener_ends_the_program(fake_main: Path, job: MakeJob, tmp_path: Path) -> None:
    def interrupt(_event: TrainEvent) -> None:
        raise KeyboardInterrupt

    before = set(psutil.Process().children())
    with pytest.raises(KeyboardInterrupt):
        LocalTrainer(fake_main).train(job(pid_file=str(tmp_path / "pid")), interrupt)
    assert set(psutil.Process().children()) <= before


def test_missing_data_and_a_missing_program_are_user_errors(fake_main: Path, job: MakeJob, tmp_path: Path) -> None:
    todo = job()
    with pytest.raises(UserError, match="not a folder"):
        LocalTrainer(fake_main).train(TrainJob(KEY, tmp_path / "absent", todo.spec, todo.folder), ignore)
    with pytest.raises(UserError, match=r"main\.py is missing"):
        LocalTrainer(tmp_path / "main.py").train(todo, ignore)


def run_code(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_producer_names_mindspore_without_importing_it() -> None:
    name, version, emulated, imported = run_code(
        "import sys; from infra.local_training.trainer import LocalTrainer; p = LocalTrainer().producer();"
        "print(p.name, p.version, p.emulated, 'mindspore' in sys.modules)"
    ).split()
    assert (name, emulated, imported) == ("mindspore-cpu", "False", "False")
    assert version.startswith("2.")


def test_the_cores_in_use_are_part_of_the_producer() -> None:
    out = run_code(
        "import os; from infra.local_training.producer import processor; first = processor();"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(first, processor())"
    )
    assert f"'cores': '{len(os.sched_getaffinity(0))}'" in out
    assert out.rstrip().endswith("'cores': '1'}")
