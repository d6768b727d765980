"""The evaluation images of a data set, as every comparison sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tasks.engine.stage import StageContext

RECORD_BYTES = 3073  # docs/reference/cifar10.md §7.4


def evaluation_images(context: StageContext) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int]]:
    """The images of the input `data` (uint8, [n, 32, 32, 3], RGB) and the numbers of their classes."""
    import numpy as np

    records = np.fromfile(context.files["data"]["eval/test_batch.bin"].path, np.uint8).reshape(-1, RECORD_BYTES)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].tolist()


def expected_logits(context: StageContext) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The checkpoint's logits of the evaluation images, from the input `predictions`: float32 [n, classes]."""
    import numpy as np

    with np.load(context.input("predictions"), allow_pickle=False) as predictions:
        logits: np.ndarray[Any, np.dtype[np.float32]] = predictions["logits"].astype(np.float32)
    return logits
