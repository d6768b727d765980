import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.errors import Transient
from infra.home import CHECKOUT
from infra.ports.values import OnLine
from infra.program import Finished, run_program


def run(code: str, *, on_line: OnLine | None = None, **options: Any) -> tuple[Finished, list[str]]:
    """Run Python code; return how it ended, and its lines."""
    seen: list[str] = []
    finished = run_program([sys.executable, "-u", "-c", code], on_line=on_line or seen.append, **options)
    return finished, seen


def test_lines_come_in_order_from_both_streams() -> None:
    finished, seen = run("import sys; print('one'); print('two', file=sys.stderr, flush=True); print('three', end='')")
    assert seen == ["one", "two", "three"]
    assert finished.code == 0
    assert finished.tail == ("one", "two", "three")


def test_lines_come_while_the_program_runs() -> None:
    seen: list[str] = []

    def reply(line: str) -> None:
        seen.append(line)
        if line.isdigit():
            os.kill(int(line), signal.SIGUSR1)  # the program waits for this signal after its first line

    code = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "print(os.getpid()); signal.sigwait([signal.SIGUSR1]); print('received')"
    )
    run(code, on_line=reply, seconds=30)
    assert seen[-1] == "received"


@pytest.mark.parametrize(("code", "expected"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)])
def test_the_exit_code_is_returned(code: str, expected: int) -> None:
    assert run(code)[0].code == expected


def test_only_the_last_lines_are_kept() -> None:
    finished, seen = run("for number in range(100): print(number)")
    assert len(seen) == 100
    assert finished.tail == tuple(str(number) for number in range(60, 100))


def test_invalid_utf_8_is_replaced() -> None:
    _, seen = run("import sys; sys.stdout.buffer.write(b'caf\\xe9\\n')")
    assert seen == ["caf\N{REPLACEMENT CHARACTER}"]


def test_environment_folder_and_log(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("before\n")
    code = "import os; print(os.environ['OWN'], os.getcwd(), 'PATH' in os.environ)"
    _, seen = run(code, environment={"OWN": "value"}, folder=tmp_path, log=log)
    assert seen == [f"value {tmp_path} True"]
    assert log.read_text() == f"before\nvalue {tmp_path} True\n"


WITH_CHILD = (
    "import subprocess, sys, os\n"
    "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
    "print(os.getpid(), child.pid, flush=True)\n"
    "import time; time.sleep(600)"
)


def assert_gone(pids: Iterable[int]) -> None:
    deadline = time.monotonic() + 10
    for pid in pids:
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"{pid} still runs"
            time.sleep(0.01)


def test_a_time_limit_ends_the_whole_process_group() -> None:
    seen: list[str] = []
    with pytest.raises(Transient, match="was stopped after 1 s"):
        run(WITH_CHILD, on_line=seen.append, seconds=1)
    assert_gone([int(word) for line in seen for word in line.split()])


def test_an_exception_ends_the_whole_process_group() -> None:
    seen: list[str] = []

    def interrupt(line: str) -> None:
        seen.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(WITH_CHILD, on_line=interrupt)
    assert_gone([int(word) for word in seen[0].split()])


def test_a_program_that_reads_its_standard_input_ends_with_its_parent() -> None:
    code = (
        "import sys; from infra.program import run_program\n"
        "program = 'import os, sys; print(os.getpid(), flush=True); sys.stdin.read()'\n"
        "run_program([sys.executable, '-c', program], on_line=lambda line: print(line, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.Process(pid).is_running()
        parent.kill()
    assert_gone([pid])


def test_a_missing_program_is_an_error_of_the_caller() -> None:
    with pytest.raises(FileNotFoundError):
        run_program(["/nowhere/at/all"], on_line=lambda _line: None)
