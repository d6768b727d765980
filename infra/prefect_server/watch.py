"""Watch the Prefect server under a run: one that vanishes is missed within seconds, and our own starts again.

Prefect's client asks again for about a minute, so the run goes on meanwhile, and what it did is recorded afterwards.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from infra.errors import AtlasFlowError
from infra.prefect_server import server
from infra.processes import connects
from infra.services import Services
from infra.settings import PrefectSettings

SECONDS = 2.0
MISSED = 2
"""How often in a row the server must not answer before it counts as gone."""
AGAIN = 15
"""After a start that failed, the next one is tried when the server was looked at this often."""


class Watch:
    """Looks at a server again and again in a thread.

    Args:
        is_up: whether it answers.
        restart: starts it; None for a server that is not ours.
        say: receives a line for people, once for each time that it is gone or back.
    """

    def __init__(
        self, is_up: Callable[[], bool], restart: Callable[[], object] | None, say: Callable[[str], None]
    ) -> None:
        self._is_up = is_up
        self._restart = restart
        self._say = say
        self._missed = 0

    def look(self) -> None:
        """Look once; start a server of ours that is gone."""
        if self._is_up():
            if self._missed >= MISSED:
                self._say("the server answers again")
            self._missed = 0
            return
        self._missed += 1
        if self._missed == MISSED:
            # Prefect's own complaints would be one for each event of the run.
            logging.raiseExceptions = False
            self._say(
                "the server is gone; the work goes on" + (", and the server starts again" if self._restart else "")
            )
        if self._restart is not None and (self._missed - MISSED) % AGAIN == 0 and self._missed >= MISSED:
            try:
                self._restart()
            except AtlasFlowError as error:
                self._say(f"the server does not start: {error.message}")

    def repeat(self, ended: threading.Event, seconds: float = SECONDS) -> None:
        """Look every few seconds until `ended` is set."""
        while not ended.wait(seconds):
            self.look()


@contextmanager
def watched(services: Services, home: Path, settings: PrefectSettings, say: Callable[[str], None]) -> Iterator[None]:
    """Watch the server of the settings, which is up, during a block."""
    place = urlsplit(server.address(services, settings))
    host, port = place.hostname or "", place.port or (443 if place.scheme == "https" else 80)
    ours = server.outside(services, settings) is None
    restart = (lambda: server.start(services, home, settings)) if ours else None
    watch = Watch(lambda: connects(host, port), restart, say)
    ended = threading.Event()
    thread = threading.Thread(target=watch.repeat, args=(ended,), name="prefect-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
