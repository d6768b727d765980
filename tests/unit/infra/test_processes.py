import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra import processes

LISTEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
server.accept()
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LISTEN!r}])"


@pytest.mark.parametrize("program", [LISTEN, PARENT])
def test_only_the_process_that_listens_at_a_port_and_its_ancestors_have_it(program: str) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert processes.listens(psutil.Process(process.pid), port)
            assert not processes.listens(psutil.Process(process.pid), port + 1)
            with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
                assert not processes.listens(psutil.Process(other.pid), port)
        finally:
            for member in processes.family(psutil.Process(process.pid)):
                member.kill()


def test_a_process_that_has_ended_listens_nowhere_and_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        process = psutil.Process(ended.pid)
    assert not processes.alive(process)
    assert not processes.listens(process, 1)
    assert processes.memory(process) == 0


def test_a_free_port_is_not_taken_and_has_another_free_one_10000_above() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not processes.port_is_free(server.getsockname()[1])
        assert processes.answers(server.getsockname()[1])
    first = processes.free_port(())
    assert processes.port_is_free(first)
    assert processes.port_is_free(first + 10_000)
    assert not processes.answers(first)
    assert processes.free_port({first}) != first


def test_a_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        process = processes.spawn((sys.executable, "-c", "print('hello')"), {}, tmp_path / "log")
        process.wait(20)
    finally:
        os.umask(before)
    assert (tmp_path / "log").read_text() == "hello\n"
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600
