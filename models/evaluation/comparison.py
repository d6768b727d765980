"""Compare two sets of predictions of the same images: is the difference significant?"""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from ..failures import Damage, InputError
from ..files import write_json
from ..protocol import log

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def compare_files(first: Path, second: Path, output: Path) -> None:
    """Compare two `predictions.npz` and write `comparison.json` into `output`.

    Raises:
        InputError: a file is missing, or the images differ.
        Damage: a file cannot be read.
    """
    one, labels = _read(first)
    two, others = _read(second)
    if not np.array_equal(labels, others):
        raise InputError(f"{first} and {second} have different images", "evaluate both on the same data")
    result = compare(one, two, labels)
    log(
        f"accuracy {result['accuracy_first']:.4f} and {result['accuracy_second']:.4f}, "
        f"agreement {result['agreement']:.4f}, McNemar p = {result['p_value']:.3g}"
    )
    write_json(output / "comparison.json", result)


def compare(one: NDArray[np.float32], two: NDArray[np.float32], labels: NDArray[np.int32]) -> dict[str, float]:
    """Agreement and McNemar's exact test (Q. McNemar 1947).

    The test considers the images that only one network classifies correctly: equally good networks get half of them
    each. `p_value` is the two-sided probability of a split at least as uneven.

    Args:
        one: logits of the first network, [n, classes].
        two: logits of the second network, [n, classes].
        labels: true classes, [n].
    """
    first, second = one.argmax(axis=1), two.argmax(axis=1)
    right, also = first == labels, second == labels
    only_first, only_second = int((right & ~also).sum()), int((also & ~right).sum())
    return {
        "images": len(labels),
        "agreement": float(np.mean(first == second)),
        "accuracy_first": float(np.mean(right)),
        "accuracy_second": float(np.mean(also)),
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_value": _two_sided(only_first, only_second),
    }


def _two_sided(one: int, two: int) -> float:
    """Return the exact probability that fair coins split at least as unevenly, in integer arithmetic."""
    total = one + two
    tail = sum(math.comb(total, count) for count in range(min(one, two) + 1))
    return min(1.0, float(2 * tail / 2**total))


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    if not path.is_file():
        raise InputError(f"predictions {path} do not exist", "evaluate first")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return file["logits"], file["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise Damage(f"{path} cannot be read as predictions: {error}", "evaluate again") from error
