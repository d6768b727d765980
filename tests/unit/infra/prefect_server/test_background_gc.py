import subprocess
import sys

from infra.home import CHECKOUT

# Says on which thread its garbage is collected, and what its arguments are.
MODULE = """
import sys
import threading

collected = threading.Event()
found = []


class Cycle:
    def __init__(self):
        self.myself = self

    def __del__(self):
        found.append(threading.current_thread().name)
        collected.set()


Cycle()
kept = [[] for _ in range(100_000)]
assert collected.wait(30)
print(__name__, *sys.argv[1:], *found)
"""


def test_garbage_is_collected_beside_the_program(tmp_path):
    (tmp_path / "program.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-m", "infra.prefect_server.background_gc", "program", "--limit", "1"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{CHECKOUT}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("__main__ --limit 1 garbage\n", "")
