"""Decode pictures in a process of its own: a path a line on standard input, an answer on standard output.

An answer is a line of JSON: `problem` and `detail`, or what `Look` says; in the latter case, the image follows, uint8
[size, size, 3]. The process ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from models.preprocess import PictureError, contract_from_json
from tasks.dataset.duplicates import fingerprint, thumbnail
from tasks.dataset.values import Problem

if TYPE_CHECKING:
    from models.preprocess import Contract


def main() -> None:
    """Answer until the input ends. The argument is the input contract, as JSON."""
    contract = contract_from_json(json.loads(sys.argv[1]))
    for line in sys.stdin.buffer:
        said, image = answer(json.loads(line), contract)
        _write(sys.stdout.buffer, said, image)


def answer(path: str, contract: Contract) -> tuple[dict[str, Any], np.ndarray[Any, np.dtype[np.uint8]] | None]:
    """Decode a picture: what is known of it, and the image, or the problem and None."""
    try:
        if os.path.getsize(path) == 0:  # noqa: PTH202 - a name may have bytes that are no text
            return {"problem": Problem.EMPTY}, None
        picture = contract.open(path)
        image = contract.image(picture)
    except Exception as error:  # noqa: BLE001 - Pillow raises anything for broken files; it is reported
        return {
            "problem": problem_of(error),
            "detail": f"{type(error).__name__}: {error}".replace(path, "file")[:200],
        }, None
    width, height = picture.size
    small = thumbnail(image)
    return {"width": width, "height": height, "fingerprint": fingerprint(image), "thumbnail": small.hex()}, image


def problem_of(error: Exception) -> Problem:
    """Tell what is wrong with a picture from Pillow's exception; its classes tell too little."""
    if isinstance(error, UnidentifiedImageError):
        return Problem.NO_PICTURE
    if isinstance(error, PictureError):
        return Problem.UNSUPPORTED
    if isinstance(error, (Image.DecompressionBombError, MemoryError)):
        return Problem.TOO_LARGE
    if isinstance(error, EOFError) or (isinstance(error, OSError) and "truncated" in str(error).lower()):
        return Problem.TRUNCATED
    return Problem.BROKEN


def _write(target: BinaryIO, said: dict[str, Any], image: np.ndarray[Any, np.dtype[np.uint8]] | None) -> None:
    target.write(json.dumps(said).encode() + b"\n")
    if image is not None:
        target.write(np.ascontiguousarray(image).tobytes())
    target.flush()


if __name__ == "__main__":
    main()
