"""Notice that a job makes no new step for much longer than usual: it is billed although it hangs."""

import re
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from infra.ports.training import Epoch, LogLine, TrainEvent

LEAST_SECONDS = 60.0
"""A pause is no stall before this."""
_GAPS = 50
_ENOUGH = 3
_STEP = re.compile(r"(?:epoch|step|iter(?:ation)?)\b\W{0,3}(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Alarm:
    """What happens when a job stalls.

    Attributes:
        factor: of the usual time between two steps; 0: no alarm.
        stop: stop the job.
        notify: receives a subject and a text for people.
    """

    factor: float = 0.0
    stop: bool = False
    notify: Callable[[str, str], None] = lambda _subject, _text: None


NO_ALARM = Alarm()


@dataclass(frozen=True)
class Stall:
    """A pause that is too long, and the usual one, in seconds."""

    seconds: float
    usual: float


class Progress:
    """Watches the steps of one job, by its log.

    A step is the end of an epoch, or a line with another number after the word epoch, step or iteration. Several steps
    in one look count as one, since only the looks have times.

    Args:
        factor: of the usual time between two looks with new steps.
        clock: seconds.
    """

    def __init__(self, factor: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._factor = factor
        self._clock = clock
        self._gaps: deque[float] = deque(maxlen=_GAPS)
        self._last: float | None = None
        self._numbers: tuple[str, ...] = ()
        self._stepped = False
        self._told = False

    def note(self, event: TrainEvent) -> None:
        """Note an event of the log."""
        if isinstance(event, Epoch):
            self._stepped = True
        elif isinstance(event, LogLine):
            numbers = tuple(_STEP.findall(event.text))
            if numbers and numbers != self._numbers:
                self._numbers, self._stepped = numbers, True

    def pause(self) -> None:
        """Forget since when: the job does not run, or its log cannot be read."""
        self._last, self._stepped = None, False

    def look(self) -> Stall | None:
        """Return a stall, once; None while steps come as usual. Call it after each look at a running job's log."""
        now = self._clock()
        if self._stepped:
            if self._last is not None:
                self._gaps.append(now - self._last)
            self._last, self._stepped, self._told = now, False, False
            return None
        if self._told or self._last is None or len(self._gaps) < _ENOUGH or not self._factor:
            return None
        usual = statistics.median(self._gaps)
        seconds = now - self._last
        if seconds < max(LEAST_SECONDS, self._factor * usual):
            return None
        self._told = True
        return Stall(seconds, usual)
