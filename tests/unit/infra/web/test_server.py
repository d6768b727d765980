"""The server itself: its address, and its end while an answer is computed."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.web import server
from infra.web.demo import Demo

NEVER_ANSWERS = """
import socket, time
import anyio.to_thread
from infra.web.server import run

async def application(scope, receive, send):
    if scope["type"] == "http":
        print("asked", flush=True)
        await anyio.to_thread.run_sync(time.sleep, 600)

listener = socket.create_server(("127.0.0.1", 0))
run(application, listener, lambda: print(listener.getsockname()[1], flush=True))
"""

BUSY_AT_THE_END = """
import socket, threading
from infra.web.server import run

caller_is_done = threading.Event()

async def application(scope, receive, send):
    if scope["type"] == "http":
        print("asked", flush=True)
        caller_is_done.wait()

with socket.create_server(("127.0.0.1", 0)) as listener:
    run(application, listener, lambda: print(listener.getsockname()[1], flush=True), goodbye_seconds=0)
caller_is_done.set()
for thread in set(threading.enumerate()) - {threading.current_thread()}:
    thread.join(30)
"""

DEMO = Demo("", "", lambda _: np.zeros((1, 1, 3), np.uint8), [], [], [])


def test_an_address_that_cannot_be_used_is_an_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"cannot listen on 127.0.0.1:{port}[^→]+→ --port 0"):
            server.serve(DEMO, "127.0.0.1", port, "", print)
    with pytest.raises(UserError, match=r"cannot listen on 192\.0\.2\.1:0[^→]+→ --host"):
        server.serve(DEMO, "192.0.2.1", 0, "", print)  # of nobody's machine (RFC 5737)
    with pytest.raises(UserError, match=r"'no\.such\.host\.invalid' is no address"):
        server.serve(DEMO, "no.such.host.invalid", 0, "", print)


def test_addresses_are_what_a_person_opens() -> None:
    assert server.address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert server.address("::1", 80) == "http://[::1]:80/"


@pytest.mark.program
@pytest.mark.parametrize("program", [NEVER_ANSWERS, BUSY_AT_THE_END])
def test_ctrl_c_ends_it_quietly_though_an_answer_never_comes(program: str, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    assert process.stdout is not None
    with process, socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "Traceback" not in errors.read_text()
