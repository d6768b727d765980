"""Collect a process's garbage in a thread of its own.

The Prefect server needs it on SQLite. Python collects garbage on whatever thread allocates, which there is mostly the
one of the event loop; a cursor among the garbage is reset, and waits while its connection waits up to 60 s for a lock
of the database, whose holder waits for the event loop (seen with Prefect 3.8.8, aiosqlite 0.22 and Python 3.11: the
server answers nobody for a minute, after some hundred writes in a row). On a thread of its own only that thread waits.
"""

import gc
import threading
import time

POLL_SECONDS = 1.0


def collect_in_background() -> None:
    """From now on collect garbage on a thread of its own, about as often as Python would."""
    young, _, old = gc.get_threshold()
    gc.disable()

    def collect() -> None:
        while True:
            time.sleep(POLL_SECONDS)
            since, _, middle = gc.get_count()
            if since > young:
                gc.collect(2 if middle > old else 1)

    threading.Thread(target=collect, name="garbage", daemon=True).start()
