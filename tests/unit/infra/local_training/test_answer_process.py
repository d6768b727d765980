"""A process that answers images, with a small program in place of `models/main.py`."""

import os
import signal
import time

import psutil
import pytest

from infra.errors import Transient, UserError
from infra.local_training.answer_process import Answering

PROGRAM = """
import base64, json, os, signal, sys, time
from pathlib import Path
assert sys.argv[1:] == ["answer", "--spec={}", "--pids=" + sys.argv[3].partition("=")[2]]
with Path(sys.argv[3].partition("=")[2]).open("a") as file:
    file.write(f"{os.getpid()}\\n")
def say(**event):
    print("@atlasflow " + json.dumps(event), flush=True)
print("a line for people", flush=True)
say(event="ready")
for line in sys.stdin:
    pixels = base64.b64decode(line)
    if pixels == b"wrong":
        say(event="error", kind="user", message="no such image", hint="another one")
        sys.exit(2)
    if pixels == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if pixels == b"sleep":
        time.sleep(600)
    say(event="answer", logits=list(pixels), milliseconds=0.5)
"""


@pytest.fixture
def program(tmp_path):
    main, pids = tmp_path / "main.py", tmp_path / "pids"
    main.write_text(PROGRAM)
    found = Answering({"spec": "{}", "pids": str(pids)}, main=main, start_seconds=60, answer_seconds=60)
    found.pids = lambda: [int(line) for line in pids.read_text().split()] if pids.exists() else []
    yield found
    found.close()
    assert not any(psutil.pid_exists(pid) for pid in found.pids())


def test_it_starts_once_and_answers_in_order(program):
    assert program.pids() == []
    program.start()
    assert program.ask(b"ab") == ([97.0, 98.0], 0.5)
    assert program.ask(b"c") == ([99.0], 0.5)
    assert len(program.pids()) == 1


def test_its_error_is_ours_and_the_next_question_starts_it_anew(program):
    with pytest.raises(UserError, match="no such image"):
        program.ask(b"wrong")
    assert program.ask(b"a") == ([97.0], 0.5)
    with pytest.raises(Transient, match="was ended by SIGKILL"):
        program.ask(b"die")
    assert program.ask(b"a") == ([97.0], 0.5)
    os.kill(program.pids()[-1], signal.SIGKILL)
    with pytest.raises(Transient, match="was ended by SIGKILL"):  # between two questions
        while program.ask(b"a"):
            time.sleep(0.01)
    assert len(program.pids()) == 3


def test_one_that_does_not_answer_is_ended(program):
    program.ask(b"a")
    program._answer_seconds = 0.2
    with pytest.raises(Transient, match="did not answer within"):
        program.ask(b"sleep")
