"""The watchdog: a new release whose first live images fail gives way to the previous one, also without a network."""

import os
from typing import Any, TypeVar

import numpy as np

from .failure import GATE, TRANSIENT, USER, Failure
from .releases import Releases

Self = TypeVar("Self", bound="Watchdog")


class Watchdog:
    """Follows the first live images of a release: `with Watchdog(folder) as dog: … dog.passed(1)`.

    It does nothing for a release that is trusted, not in service, or not on a board at all.

    Args:
        folder: of the release, such as `<root>/releases/<id>`.
    """

    def __init__(self, folder: str) -> None:
        place, self.release = os.path.split(os.path.realpath(folder))
        self.releases = Releases(os.path.dirname(place))
        self.left = 0
        if os.path.basename(place) == "releases" and self.releases.state()["active"] == self.release:
            self.left = self.releases.probation()

    def __enter__(self: Self) -> Self:  # noqa: PYI019 - typing.Self is younger than Python 3.6
        return self

    def passed(self, images: int) -> None:
        """So many live images were answered."""
        if self.left > 0:
            self.left = max(0, self.left - images)
            self.releases.set_probation(self.release, self.left)
            if self.left == 0:
                self.releases.note("trusted", self.release)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # A wrong argument says nothing about the release, and a busy device would refuse the previous one too.
        if self.left <= 0 or not isinstance(error, Failure) or error.exit_code in (USER, TRANSIENT):
            return
        if self.releases.state()["previous"] is None:
            return
        self.releases.lock(60, "the watchdog")
        if self.releases.state()["active"] == self.release:
            state = self.releases.rollback("first live images failed: " + error.message)
            error.hint = f"release {state['active']} is back in service. {error.hint}".strip()


def check_finite(logits: "np.ndarray[Any, Any]") -> None:
    """Refuse an answer that is not made of numbers.

    Raises:
        Failure: NaN or infinite logits.
    """
    if not np.isfinite(logits).all():
        raise Failure(GATE, "the model answers with values that are not numbers", "do not use this release")
