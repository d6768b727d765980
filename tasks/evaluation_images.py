"""The evaluation images of a data set, the input contract, and the checkpoint's logits for these images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.errors import Corrupt, UserError
from tasks.specs import train_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from infra.ports.values import LocalFile
    from infra.settings import Settings
    from models.data.images import Pixels
    from models.preprocess import Contract
    from tasks.engine.stage import StageContext


def evaluation_images(context: StageContext) -> tuple[Pixels, list[int]]:
    """Return the evaluation images of the input `data`, uint8 [n, side, side, 3], RGB, and their class numbers."""
    from models.data.images import read_images
    from models.failures import Damage

    try:
        images = read_images(context.link_input("data", context.folder / "data"), "eval")
    except Damage as damage:
        raise Corrupt(damage.message, hint=damage.hint) from damage
    return images.pixels, images.labels.tolist()


def calibration_pictures(context: StageContext, count: int) -> NDArray[np.uint8]:
    """Return up to `count` training pictures of the input `data`, spread over it: uint8 [n, side, side, 3], RGB."""
    import numpy as np

    from models.data.images import read_images
    from models.failures import Damage

    try:
        images = read_images(context.link_input("data", context.folder / "data"), "train")
    except Damage as damage:
        raise Corrupt(damage.message, hint=damage.hint) from damage
    chosen = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).astype(np.int64))
    return images.pixels[chosen]


def input_contract(settings: Settings, data: Mapping[str, LocalFile]) -> Contract:
    """Return the input contract of the settings' network on a data set.

    Args:
        settings: name size and normalisation.
        data: the files of the data set; empty where it is not at hand.

    Raises:
        UserError: settings and data set do not fit, or the normalisation is measured and there is no data set.
    """
    from models.data.images import contract_of
    from models.data.prepared import DESCRIPTION, parse_description
    from models.failures import InputError

    file = data.get(DESCRIPTION)
    found = None if file is None else parse_description(file.path.read_text(encoding="utf-8"), DESCRIPTION)
    try:
        return contract_of(found, train_spec(settings))
    except InputError as error:
        raise UserError(f"setting train.{error.message}", hint=error.hint) from error


def expected_logits(context: StageContext) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the checkpoint's logits from the input `predictions`: float32 [n, classes]."""
    import numpy as np

    with np.load(context.input("predictions"), allow_pickle=False) as predictions:
        logits: np.ndarray[Any, np.dtype[np.float32]] = predictions["logits"].astype(np.float32)
    return logits
