"""A process that classifies images, with a small program in place of `models/main.py`."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from infra.errors import Transient, UserError
from infra.local_training.answer_process import AnswerProcess

PROGRAM = """
import base64, json, os, signal, sys, time
from pathlib import Path
assert sys.argv[1:] == ["answer", "--spec={}", "--pids=" + sys.argv[3].partition("=")[2]]
with Path(sys.argv[3].partition("=")[2]).open("a") as file:
    file.write(f"{os.getpid()}\\n")
def report(**event):
    print("@atlasflow " + json.dumps(event), flush=True)
print("a line for people", flush=True)
report(event="ready")
for line in sys.stdin:
    pixels = base64.b64decode(line)
    if pixels == b"wrong":
        report(event="error", kind="user", message="no such image", hint="another one")
        sys.exit(2)
    if pixels == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if pixels == b"sleep":
        time.sleep(600)
    report(event="answer", logits=list(pixels), milliseconds=0.5)
"""


@dataclass
class Program:
    """The small program: its path, and a file to which each of its processes appends its id."""

    main: Path
    pid_file: Path

    def open(self, answer_seconds: float = 60) -> AnswerProcess:
        arguments = {"spec": "{}", "pids": str(self.pid_file)}
        return AnswerProcess(arguments, main=self.main, start_seconds=60, answer_seconds=answer_seconds)

    def pids(self) -> list[int]:
        return [int(line) for line in self.pid_file.read_text().split()] if self.pid_file.exists() else []


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    main = tmp_path / "main.py"
    main.write_text(PROGRAM)
    program = Program(main, tmp_path / "pids")
    yield program
    assert not any(psutil.pid_exists(pid) for pid in program.pids())


@pytest.fixture
def process(program: Program) -> Iterator[AnswerProcess]:
    process = program.open()
    yield process
    process.close()


def test_it_starts_once_and_answers_in_order(program: Program, process: AnswerProcess) -> None:
    assert program.pids() == []
    process.start()
    assert process.ask(b"ab") == ([97.0, 98.0], 0.5)
    assert process.ask(b"c") == ([99.0], 0.5)
    assert len(program.pids()) == 1


def test_after_an_error_the_next_question_starts_it_anew(program: Program, process: AnswerProcess) -> None:
    with pytest.raises(UserError, match="no such image"):
        process.ask(b"wrong")
    assert process.ask(b"a") == ([97.0], 0.5)
    with pytest.raises(Transient, match="was killed by SIGKILL"):
        process.ask(b"die")
    assert process.ask(b"a") == ([97.0], 0.5)
    os.kill(program.pids()[-1], signal.SIGKILL)
    with pytest.raises(Transient, match="was killed by SIGKILL"):  # between two questions
        while process.ask(b"a"):
            time.sleep(0.01)
    assert len(program.pids()) == 3


def test_a_process_without_an_answer_is_ended(program: Program) -> None:
    process = program.open(answer_seconds=0.2)
    with pytest.raises(Transient, match="did not answer within"):
        process.ask(b"sleep")
