import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from infra.errors import Transient
from infra.home import CHECKOUT
from infra.program import run_program


def run(code, *, lines=None, **options):
    heard = []
    finished = run_program([sys.executable, "-u", "-c", code], lines=lines or heard.append, **options)
    return finished, heard


def test_lines_come_in_order_from_both_streams():
    finished, heard = run("import sys; print('one'); print('two', file=sys.stderr, flush=True); print('three', end='')")
    assert heard == ["one", "two", "three"]
    assert finished.code == 0
    assert finished.tail == ("one", "two", "three")


def test_lines_come_while_the_program_runs():
    seen = []

    def heard(line):
        seen.append(line)
        if line.isdigit():
            os.kill(int(line), signal.SIGUSR1)  # the program waits for this answer to its first line

    code = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "print(os.getpid()); signal.sigwait([signal.SIGUSR1]); print('answered')"
    )
    run(code, lines=heard, seconds=30)
    assert seen[-1] == "answered"


@pytest.mark.parametrize(("code", "expected"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)])
def test_the_exit_code_tells_how_it_ended(code, expected):
    assert run(code)[0].code == expected


def test_only_the_last_lines_are_kept():
    finished, heard = run("for number in range(100): print(number)")
    assert len(heard) == 100
    assert finished.tail == tuple(str(number) for number in range(60, 100))


def test_bytes_that_are_no_text_do_no_harm():
    _, heard = run("import sys; sys.stdout.buffer.write(b'caf\\xe9\\n')")
    assert heard == ["caf\N{REPLACEMENT CHARACTER}"]


def test_environment_folder_and_log(tmp_path):
    log = tmp_path / "run.log"
    log.write_text("before\n")
    code = "import os; print(os.environ['OWN'], os.getcwd(), 'PATH' in os.environ)"
    _, heard = run(code, environment={"OWN": "value"}, folder=tmp_path, log=log)
    assert heard == [f"value {tmp_path} True"]
    assert log.read_text() == f"before\nvalue {tmp_path} True\n"


CHILD = (
    "import subprocess, sys, os\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(os.getpid(), child.pid, flush=True)\n"
    "import time; time.sleep(600)"
)


def assert_gone(pids):
    deadline = time.monotonic() + 10
    for pid in pids:
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"{pid} still runs"
            time.sleep(0.01)


def test_a_time_limit_ends_the_whole_family():
    heard = []
    with pytest.raises(Transient, match="was stopped after 2 s"):
        run(CHILD, lines=heard.append, seconds=2)
    assert_gone([int(word) for line in heard for word in line.split()])


def test_an_exception_ends_the_whole_family():
    heard = []

    def stop(line):
        heard.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(CHILD, lines=stop)
    assert_gone([int(word) for word in heard[0].split()])


def test_a_program_that_watches_its_standard_input_ends_with_us():
    code = (
        "import sys; from infra.program import run_program\n"
        "program = 'import os, sys; print(os.getpid(), flush=True); sys.stdin.read()'\n"
        "run_program([sys.executable, '-c', program], lines=lambda line: print(line, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as parent:
        pid = int(parent.stdout.readline())
        assert psutil.Process(pid).is_running()
        parent.kill()
    assert_gone([pid])


def test_a_missing_program_is_an_error_of_the_caller():
    with pytest.raises(FileNotFoundError):
        run_program(["/nowhere/at/all"], lines=lambda line: None)
