"""The watchdog: when a new release fails on its first live images, activate the previous one, without a network."""

import os
from typing import Any, TypeVar

import numpy as np

from .failure import GATE, TRANSIENT, USER, Failure
from .folders import identifier_of
from .releases import WATCHDOG, Releases

DEATHS = 3  # a single kill says little about a release

Self = TypeVar("Self", bound="Watchdog")


class Watchdog:
    """Counts the first live images of a release: `with Watchdog(folder) as dog: … dog.passed(1)`.

    It does nothing for a release that is trusted, not active, or not installed on a board.

    Args:
        folder: of the release, such as `<root>/releases/<id>`.
    """

    def __init__(self, folder: str) -> None:
        place, name = os.path.split(os.path.realpath(folder))
        self.release = identifier_of(name)
        self.releases = Releases(os.path.dirname(place))
        self.left = 0
        if os.path.basename(place) == "releases" and self.releases.state()["active"] == self.release:
            self.left = self.releases.probation.of(self.release).images

    def __enter__(self: Self) -> Self:  # noqa: PYI019 - typing.Self is younger than Python 3.6
        if self.left > 0:
            deaths = self.releases.probation.of(self.release).deaths
            if deaths >= DEATHS:
                failure = Failure(GATE, f"its program died {deaths} times in a row", "do not use it")
                self._return(failure)
                raise failure
            # A normal end resets the count; a crash of the driver or a kill does not.
            self.releases.probation.record(self.release, self.left, deaths + 1)
        return self

    def passed(self, images: int) -> None:
        """Count answered live images."""
        if self.left > 0:
            self.left = max(0, self.left - images)
            self.releases.probation.record(self.release, self.left, 1 if self.left else 0)
            if self.left == 0:
                self.releases.journal.note("trusted", self.release)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self.left <= 0 or self.releases.state()["active"] != self.release:
            return
        self.releases.probation.record(self.release, self.left)
        # A wrong argument is not the release's fault, and a busy device would refuse the previous release too.
        if isinstance(error, Failure) and error.exit_code not in (USER, TRANSIENT):
            self._return(error)

    def _return(self, error: Failure) -> None:
        """Activate the previous release, if there is one."""
        if self.releases.state()["previous"] is None:
            return
        self.releases.lock(60, "the watchdog")
        if self.releases.state()["active"] == self.release:
            state = self.releases.rollback("first live images failed: " + error.message, WATCHDOG)
            error.hint = f"release {state['active']} is back in service. {error.hint}".strip()


def check_finite(logits: "np.ndarray[Any, Any]") -> None:
    """Check an answer.

    Raises:
        Failure: NaN or infinite logits.
    """
    if not np.isfinite(logits).all():
        raise Failure(GATE, "the model answers NaN or infinite values", "do not use this release")
