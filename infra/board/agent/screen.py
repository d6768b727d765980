"""What people type and read: pictures or folders of them, and the lines of an answer."""

import os
from typing import Iterator, List, Optional, Sequence, Tuple

from .failure import USER, Failure

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
HEADER = "======== top5 inference results: ============="


def listed(paths: Sequence[str]) -> List[str]:
    """The given pictures; a folder stands for its pictures, in the order of their names.

    Raises:
        Failure: a folder has none.
    """
    found: List[str] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        names = [name for name in sorted(os.listdir(path)) if name.lower().endswith(SUFFIXES) and name[0] != "."]
        if not names:
            raise Failure(USER, f"there is no picture in {path}", "copy some there: {}".format(" ".join(SUFFIXES)))
        found += [os.path.join(path, name) for name in names]
    return found


def lines(
    picture: str,
    top: Sequence[Tuple[str, float]],
    numbers: Sequence[int],
    milliseconds: float,
    annotated: Optional[str],
    error: str,
) -> Iterator[str]:
    """The lines about one picture (docs/reference/tutorials.md T2): its classes, or why it was skipped."""
    if error:
        yield f"{picture}: skipped, {error}"
        return
    yield f"images:{picture}"
    yield HEADER
    for number, (label, confidence) in zip(numbers, top):  # noqa: B905 - Python 3.6 has no strict
        yield f"label:{number}  confidence: {confidence:.6f}, class: {label}"
    yield f"({milliseconds:.2f} ms)"
    if annotated:
        yield f"written to {annotated}"
