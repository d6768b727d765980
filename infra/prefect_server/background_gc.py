"""Run a Python module and collect its garbage in a thread of its own.

Usage: `python -m infra.prefect_server.background_gc MODULE ARGUMENTS`.

The Prefect server needs it on SQLite. Python collects garbage on whatever thread allocates, which there is mostly the
one of the event loop; a cursor among the garbage is reset, and waits while its connection waits up to 60 s for a lock
of the database, whose holder waits for the event loop (seen with Prefect 3.8.8, aiosqlite 0.22 and Python 3.11: the
server answers nobody for a minute, after some hundred writes in a row). On a thread of its own only that thread waits.
"""

import gc
import runpy
import sys
import threading
import time

LOOK_SECONDS = 1.0


def collect_beside() -> None:
    """From now on collect garbage on a thread of its own, about as often as Python would."""
    young, _, old = gc.get_threshold()
    gc.disable()

    def collect() -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            since, _, middle = gc.get_count()
            if since > young:
                gc.collect(2 if middle > old else 1)

    threading.Thread(target=collect, name="garbage", daemon=True).start()


def main() -> None:
    """Run the module that the command line names, as `python -m` would."""
    del sys.argv[0]
    collect_beside()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
