"""The reference of a release: its evaluation images and answers, counted as boards count theirs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.board.agent.counts import QUANTITIES, count, none
from infra.errors import Corrupt, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from infra.fleet import Fleet
    from models.data.images import Pixels
    from models.preprocess import Contract

FILE = "reference.json"  # in a release, for each chip

_CHUNK = 256  # images in memory at a time


def reference(images: Pixels, logits: np.ndarray[Any, np.dtype[np.float32]], contract: Contract) -> dict[str, Any]:
    """Count evaluation images as a board does.

    Args:
        images: uint8 [n, side, side, 3], RGB.
        logits: of these images, [n, classes].
        contract: the input contract of the network.

    Returns:
        `images`, and `counts` by quantity.
    """
    import numpy as np

    from models.preprocess import softmax

    counts = none(logits.shape[1])
    probabilities = softmax(logits)
    starts = range(0, len(images), _CHUNK)
    means = [contract.resize(images[start : start + _CHUNK]).mean(axis=(1, 2)) for start in starts]
    colours = np.concatenate(means).round(1)
    for number, confidence, colour in zip(logits.argmax(axis=1), probabilities.max(axis=1), colours, strict=True):
        count(counts, int(number), float(confidence), colour.tolist())
    return {"images": len(images), "counts": counts}


def reference_of(fleet: Fleet, release: str) -> Mapping[str, Sequence[int]]:
    """The counts in a kept release.

    Raises:
        UserError: the release is not kept here, or is older than references.
        Corrupt: the file is damaged.
    """
    files = next(iter(fleet.release(release).values())).files
    if FILE not in files:
        raise UserError(f"release {release} has no {FILE}", hint="`atlasflow run` makes a release with one")
    path = files[FILE].path
    try:
        counts: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8"))["counts"]
        if not all(isinstance(number, int) for name in QUANTITIES for number in counts[name]):
            raise TypeError("its counts are not numbers")
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{path} is damaged: {error}", hint="roll the release out again") from error
    return counts
