"""A release's program in a forked child: its answer, its death, its time limit, and what it must not keep."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import boards

PROGRAM = """
import json, sys
sys.path.insert(0, {checkout!r})
from infra.board.agent.failure import Failure
from infra.board.agent.fork import run_forked
from infra.board.agent.releases import Releases
releases = Releases({folder!r})
releases.lock(0, "a test")
try:
    code, output, errors = run_forked({folder!r}, ["one", "two"], 1.5, releases.held.let_go)
    print(json.dumps([code, output.decode(), errors.decode()]))
except Failure as failure:
    print(json.dumps([failure.exit_code, failure.message, ""]))
releases.held.check()
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Run a program as a release's agent, from a process that holds the lock; returns code, output and errors."""
    import json

    def forked(source: Any) -> Any:
        (tmp_path / "agent").mkdir(exist_ok=True)
        (tmp_path / "agent" / "main.py").write_text(source)
        (tmp_path / "agent" / "beside.py").write_text("word = 'beside'")
        program = PROGRAM.format(checkout=str(boards.CHECKOUT), folder=str(tmp_path))
        finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return json.loads(finished.stdout)

    return forked


def test_it_is_the_program(run: Any, tmp_path: Path) -> None:
    source = (
        "import os, sys\nfrom beside import word\nsys.stderr.write('quiet')\n"
        "print(word, __name__, sys.argv, os.getcwd(), sys.stdin.read())\nsys.exit(3)\n"
    )
    code, output, errors = run(source)
    assert (code, errors) == (3, "quiet")
    assert output == f"beside __main__ ['agent/main.py', 'one', 'two'] {tmp_path} \n"


@pytest.mark.parametrize(("source", "code"), [("", 0), ("import sys; sys.exit()", 0), ("import sys; sys.exit('x')", 1)])
def test_how_it_ends(run: Any, source: str, code: int) -> None:
    assert run(source)[0] == code


def test_an_error_is_reported(run: Any) -> None:
    code, _, errors = run("1 / 0")
    assert code == 1
    assert "ZeroDivisionError" in errors


def test_a_killed_program_is_reported(run: Any) -> None:
    assert run("import os; os.abort()")[0] == -6


@pytest.mark.program
def test_it_is_stopped_with_all_that_it_started(run: Any, tmp_path: Path) -> None:
    source = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('child', 'w').write(str(child.pid))\ntime.sleep(60)\n"
    )
    assert run(source)[:2] == [5, "the agent was stopped after 2 s"]
    child = int((tmp_path / "child").read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(200):
            os.kill(child, 0)
            subprocess.run(["sleep", "0.02"], check=True)


def test_the_lock_stays_with_the_parent(run: Any) -> None:
    source = (
        "import os\n"
        "open_files = [os.path.realpath('/proc/self/fd/' + name) for name in os.listdir('/proc/self/fd')]\n"
        "print([path for path in open_files if path.endswith('/lock')])\n"
    )
    assert run(source)[1] == "[]\n"
