"""The evaluation images of a data set, and the checkpoint's logits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tasks.engine.stage import StageContext


def evaluation_images(context: StageContext) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int]]:
    """Return the evaluation images of the input `data`, uint8 [n, 32, 32, 3], RGB, and their class numbers."""
    from models.data.records import decode, read_records

    pixels, labels = decode(read_records(context.files["data"]["eval/test_batch.bin"].path))
    return pixels, labels.tolist()


def expected_logits(context: StageContext) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the checkpoint's logits from the input `predictions`: float32 [n, classes]."""
    import numpy as np

    with np.load(context.input("predictions"), allow_pickle=False) as predictions:
        logits: np.ndarray[Any, np.dtype[np.float32]] = predictions["logits"].astype(np.float32)
    return logits
