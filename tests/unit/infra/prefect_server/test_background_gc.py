import subprocess
import sys

from infra.home import CHECKOUT

# Prints on which thread its garbage is collected.
PROGRAM = """
import threading
from infra.prefect_server.background_gc import collect_in_background

collected = threading.Event()
found = []


class Cycle:
    def __init__(self):
        self.myself = self

    def __del__(self):
        found.append(threading.current_thread().name)
        collected.set()


collect_in_background()
Cycle()
kept = [[] for _ in range(100_000)]
assert collected.wait(30)
print(*found)
"""


def test_garbage_is_collected_on_a_thread_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("garbage\n", "")
