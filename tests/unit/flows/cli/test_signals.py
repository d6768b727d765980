"""Ctrl-C and SIGTERM at any time: one line, and the exit code that a shell expects."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from flows.cli import main
from infra.home import CHECKOUT


@pytest.fixture
def handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_ctrl_c_during_the_imports_is_one_line() -> None:
    """A module that is imported first sends the signal, as a person would at that moment."""
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'flows.cli.app':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from flows.cli.main import main\n"
        "main()\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, "status"],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert (finished.returncode, finished.stderr) == (main.INTERRUPTED, "interrupted\n")


def test_sigterm_ends_with_its_own_code(handlers: None) -> None:
    signal.signal(signal.SIGTERM, main._terminate)
    with pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == main.TERMINATED
    os.kill(os.getpid(), signal.SIGTERM)  # while things are closed
