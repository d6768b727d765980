"""What the demo page is given: who answers, pictures to try, and where the model comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
"""An image as the networks are given it: uint8 [height, width, 3], RGB."""


@dataclass(frozen=True)
class Answer:
    """What one predictor says to one image.

    Attributes:
        top: the most probable classes as (name, probability), best first.
        milliseconds: of normalisation and network.
        note: what has to be known of this answer, such as which release gave it.
    """

    top: tuple[tuple[str, float], ...]
    milliseconds: float
    note: str = ""


@dataclass(frozen=True)
class Predictor:
    """Somebody who answers.

    Attributes:
        name: shown; says `stand-in` where it is one.
        answer: one image to the answer; raises an `AtlasFlowError` when there is none.
        emulated: True when its milliseconds say nothing about the real thing.
    """

    name: str
    answer: Callable[[Pixels], Answer]
    emulated: bool = False


@dataclass(frozen=True)
class Example:
    """A picture to try, with its true class."""

    pixels: Pixels
    label: str


@dataclass(frozen=True)
class Demo:
    """Everything that the page shows.

    Attributes:
        title: of the page.
        summary: a sentence or two below it.
        prepare: any picture to what all predictors are given.
        predictors: at least one; the first ones answer first.
        examples: pictures to try.
        provenance: (what, value) lines about the model.
    """

    title: str
    summary: str
    prepare: Callable[[Image.Image], Pixels]
    predictors: Sequence[Predictor]
    examples: Sequence[Example]
    provenance: Sequence[tuple[str, str]]
