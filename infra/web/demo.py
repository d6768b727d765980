"""Inputs of the demo page: predictors, example pictures, and the model's origin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from infra.web.labels import Labels

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
"""An image as the networks get it: uint8 [height, width, 3], RGB."""


@dataclass(frozen=True)
class Answer:
    """The answer of one predictor to one image.

    Attributes:
        top: the most probable classes as (name, probability), best first.
        milliseconds: of normalisation and network.
        note: about this answer, such as the release that gave it.
    """

    top: tuple[tuple[str, float], ...]
    milliseconds: float
    note: str = ""


@dataclass(frozen=True)
class Predictor:
    """A form of the model that answers.

    Attributes:
        name: to show; a stand-in is marked as one.
        answer: classifies one image; raises an `AtlasFlowError` on failure.
        emulated: True when its latency does not represent real hardware.
    """

    name: str
    answer: Callable[[Pixels], Answer]
    emulated: bool = False


@dataclass(frozen=True)
class Example:
    """An example picture with its true class."""

    pixels: Pixels
    label: str


@dataclass(frozen=True)
class Demo:
    """Everything that the page shows.

    Attributes:
        title: of the page.
        summary: a sentence or two below it.
        prepare: converts any picture to the input of all predictors.
        predictors: at least one, in the order of their answers.
        examples: pictures to try.
        provenance: (what, value) lines about the model.
        labels: pictures that can be labelled; None where they could not join the data set.
    """

    title: str
    summary: str
    prepare: Callable[[Image.Image], Pixels]
    predictors: Sequence[Predictor]
    examples: Sequence[Example]
    provenance: Sequence[tuple[str, str]]
    labels: "Labels | None" = None
