"""A word now and then while something is waited for."""

import time
from collections.abc import Callable

SECONDS = 30.0
"""Longest silence of a wait."""


class Words:
    """Reports how long a wait has lasted, when nothing was reported for a while.

    Args:
        report: receives the lines.
        clock: seconds.
    """

    def __init__(self, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._begun = self._last = clock()

    def begin(self) -> None:
        """Another wait begins; a word was just said."""
        self._begun = self._last = self._clock()

    def heard(self) -> None:
        """Something else was just reported."""
        self._last = self._clock()

    def say(self, text: str) -> None:
        """Report `text` and the duration of the wait, unless a word was said a moment ago."""
        now = self._clock()
        if now - self._last >= SECONDS:
            self._last = now
            minutes, seconds = divmod(round(now - self._begun), 60)
            self._report(f"{text}, for {minutes} min {seconds:02} s" if minutes else f"{text}, for {seconds} s")
