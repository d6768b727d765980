"""The pictures of a home that wait for a label, for the demo page."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from infra.home import INPUTS
from infra.web.labels import Question
from tasks.dataset.labels import LabelQueue
from tasks.stages.download import local_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.web.demo import Answer, Pixels, Predictor
    from models.preprocess import Contract
    from tasks.dataset.labels import CollectedPicture
    from tasks.engine.chain import Chain

log = logging.getLogger(__name__)

_SHOWN = 640  # pixels of a picture on the page


class DemoLabels:
    """Pictures that people label, with the guess of a network; implements `infra.web.labels.Labels`.

    Args:
        queue: of the home.
        contract: of the network's input.
        guess: answers one image.
    """

    def __init__(self, queue: LabelQueue, contract: Contract, guess: Callable[[Pixels], Answer]) -> None:
        self._queue = queue
        self._contract = contract
        self._guess = guess

    @property
    def names(self) -> Sequence[str]:
        """The class names."""
        return self._queue.names

    def question(self) -> Question | None:
        """The least sure picture; one that cannot be shown is skipped."""
        while waiting := self._queue.waiting():
            picture = waiting[0]
            try:
                opened = self._contract.open(str(picture.path))
                pixels = self._contract.image(opened)
            except Exception as error:  # noqa: BLE001 - Pillow raises anything for broken files
                log.warning("%s cannot be shown: %s", picture.path, error)
                self._queue.skip(picture)
                continue
            opened.thumbnail((_SHOWN, _SHOWN))
            return Question(picture.digest, np.asarray(opened), picture.board, self._guess(pixels).top, len(waiting))
        return None

    def label(self, picture: str, name: str) -> None:
        """Give a picture its class."""
        for found in self._find(picture):
            self._queue.label(found, name)

    def skip(self, picture: str) -> None:
        """Leave a picture without a class."""
        for found in self._find(picture):
            self._queue.skip(found)

    def undo(self) -> bool:
        """Take the last label or skip back."""
        return self._queue.undo()

    def _find(self, digest: str) -> list[CollectedPicture]:
        return [picture for picture in self._queue.waiting() if picture.digest == digest]


def labels_of(chain: Chain, names: Sequence[str], contract: Contract, predictor: Predictor) -> DemoLabels | None:
    """Return the pictures of a home to label; None where the data set is no folder that they could join."""
    source = local_source(chain.settings)
    if source is None or not source.is_dir() or source.is_relative_to(chain.home / INPUTS):  # a copy of a bucket
        return None
    return DemoLabels(LabelQueue(chain.home, source, names), contract, predictor.answer)
