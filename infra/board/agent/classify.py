"""Classify pictures: the five best classes of each, and a copy with the best written on it."""

import time
from functools import partial
from typing import Any, Dict, Iterator, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np
import preprocess

from .card import Card
from .model import Model
from .pictures import annotate, save, write_on
from .release import Release
from .screen import lines
from .watchdog import Watchdog, check_finite


class Answer(NamedTuple):
    """The answer to one picture.

    Attributes:
        picture: its path.
        top: the best classes and their probabilities, best first; empty for an unreadable picture.
        numbers: the numbers of these classes.
        milliseconds: of the model's execution.
        colour: mean red, green and blue of the network's input, 0 to 255.
        annotated: path of the annotated copy; None without one.
        error: why the picture is unreadable; empty when it is not.
    """

    picture: str
    top: Sequence[Tuple[str, float]] = ()
    numbers: Sequence[int] = ()
    milliseconds: float = 0.0
    colour: Sequence[float] = ()
    annotated: Optional[str] = None
    error: str = ""

    def to_json(self) -> Dict[str, Any]:
        """Write the JSON form, which has either `error` or the rest."""
        if self.error:
            return {"picture": self.picture, "error": self.error}
        values = self._asdict()
        del values["error"]
        return dict(values)


def classify(
    card: Card, release: Release, watchdog: Watchdog, paths: Sequence[str], output: Optional[str], inside: bool = False
) -> Iterator[Answer]:
    """Answer each picture, in order, on the devices of a card; an unreadable one is reported and skipped.

    Args:
        card: with the loaded model.
        release: of the model.
        watchdog: notified of each answer.
        paths: the pictures.
        output: folder for annotated copies; None for none.
        inside: write the class on the picture, which keeps its size and name, and not below it.

    Raises:
        Failure: the device fails, or the model answers NaN or infinite values.
    """
    taken: Set[str] = set()
    for answer, picture in card.spread(partial(_look, release), paths):
        if answer.error:
            yield answer
            continue
        watchdog.passed(1)
        drawn = write_on if inside else annotate
        annotated = save(drawn(picture, answer.top), output, answer.picture, taken, inside) if output else None
        yield answer._replace(annotated=annotated)


def _look(release: Release, model: Model, path: str) -> Tuple[Answer, Any]:
    """Answer one picture; returns the picture, too."""
    try:
        picture = release.input.open(path)
        image = release.input.image(picture)
    except Exception as error:  # noqa: BLE001 - Pillow raises anything for broken files; it is reported
        return Answer(path, error=f"{type(error).__name__}: {error}"), None
    began = time.perf_counter()
    logits = model.infer(release.tensor(image[np.newaxis], model))[0]
    milliseconds = (time.perf_counter() - began) * 1000
    check_finite(logits)
    top = preprocess.best(logits, release.labels)
    numbers = [release.labels.index(label) for label, _ in top]
    return Answer(path, top, numbers, milliseconds, image.mean(axis=(0, 1)).round(1).tolist()), picture


def describe(answer: Answer) -> Iterator[str]:
    """The lines that a person reads."""
    return lines(answer.picture, answer.top, answer.numbers, answer.milliseconds, answer.annotated, answer.error)
