"""The one normalisation contract: from pixels to the tensor that a network sees, and from logits to probabilities.

Training, evaluation, exports, the AIPP text and the boards use this module. It needs numpy and Pillow only and keeps to
Python 3.6, because a copy of it runs on boards. A pixel has 256 values, so a normalised value comes from a table: the
same bits on every processor, whatever its vector units do with a multiplication and an addition.
"""

from typing import Any, Dict, List, NamedTuple, Tuple  # noqa: F401 - some only for the types

import numpy as np
from PIL import Image, ImageOps

# Its number in every Pillow, also where the constant has another name.
_BILINEAR = 2
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Normalisation(NamedTuple):
    """How a pixel becomes a number: (value / 255 - mean) / std, channel by channel.

    Attributes:
        mean: of each channel of the tensor, in the tensor's order, on a scale of 0 to 1.
        std: likewise.
        order: which colour each channel of the tensor holds, `RGB` or `BGR`.
    """

    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]
    order: str


# docs/reference/cifar10.md §7.4; docs/reference/tutorials.md T0.
CIFAR10 = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), "RGB")

PRESETS = {
    "cifar10": CIFAR10,
    # docs/reference/tutorials.md T4 lists the same constants in reverse order for RGB images.
    "cifar10-reversed": Normalisation((0.4465, 0.4822, 0.4914), (0.2010, 0.1994, 0.2023), "RGB"),
    # docs/reference/pitfalls.md §8.1: a sample program turns the colours round and keeps the constants.
    "cifar10-bgr": Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), "BGR"),
}  # type: Dict[str, Normalisation]


def table(normalisation):
    # type: (Normalisation) -> np.ndarray[Any, Any]
    """The value of each pixel value: float32 [3, 256], rows in the tensor's channel order."""
    pixels = np.arange(256, dtype=np.float64) / 255.0
    rows = [(pixels - mean) / std for mean, std in zip(normalisation.mean, normalisation.std)]  # noqa: B905 - newer than 3.6
    return np.stack(rows).astype(np.float32)  # type: ignore[no-any-return]


def normalise(images, normalisation=CIFAR10):
    # type: (np.ndarray[Any, Any], Normalisation) -> np.ndarray[Any, Any]
    """Turn RGB images into the network's input.

    Args:
        images: uint8 [n, height, width, 3], RGB.
        normalisation: the contract that the network was trained with.

    Returns:
        float32 [n, 3, height, width], contiguous.

    Raises:
        ValueError: other type or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            "images must be uint8 [n, height, width, 3], not {} {}".format(images.dtype, list(images.shape))
        )
    values = table(normalisation)
    tensor = np.empty((images.shape[0], 3, images.shape[1], images.shape[2]), np.float32)
    for channel, colour in enumerate(normalisation.order):
        # mode="clip" skips the bounds check that a byte cannot fail.
        np.take(values[channel], images[..., "RGB".index(colour)], out=tensor[:, channel], mode="clip")
    return tensor


def from_picture(picture, size):
    # type: (Image.Image, int) -> np.ndarray[Any, Any]
    """Turn any picture into an RGB image of the network's size.

    Rotation marks of cameras are obeyed; transparent pixels lie on white; grey, palette, CMYK and 16-bit pictures
    become RGB. The whole picture is squeezed into the square, as the board tutorial does (docs/reference/tutorials.md
    T2).

    Args:
        picture: a Pillow image.
        size: height and width in pixels.

    Returns:
        uint8 [size, size, 3], RGB.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        deep = np.asarray(picture, dtype=np.float64)
        scale = 255.0 / 65535.0 if deep.size and deep.max() > 255 else 1.0
        picture = Image.fromarray(np.clip(np.rint(deep * scale), 0, 255).astype(np.uint8))
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(ground, picture)
    picture = picture.convert("RGB")
    if picture.size != (size, size):
        picture = picture.resize((size, size), _BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def resize(images, size):
    # type: (np.ndarray[Any, Any], int) -> np.ndarray[Any, Any]
    """Resize images exactly as `from_picture` does.

    Args:
        images: uint8 [n, height, width, 3], RGB.
        size: height and width in pixels.

    Returns:
        uint8 [n, size, size, 3]; the argument itself when there is nothing to do.
    """
    if images.shape[1:3] == (size, size):
        return images
    resized = [np.asarray(Image.fromarray(image).resize((size, size), _BILINEAR)) for image in images]
    return np.stack(resized) if resized else np.empty((0, size, size, 3), np.uint8)


def softmax(logits):
    # type: (np.ndarray[Any, Any]) -> np.ndarray[Any, Any]
    """Probabilities along the last axis; the largest logit is taken off first, so nothing overflows."""
    logits = np.asarray(logits, dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def best(logits, count=5):
    # type: (np.ndarray[Any, Any], int) -> List[Tuple[str, float]]
    """The most probable classes of one image as (name, probability), best first; ties go to the smaller number."""
    probabilities = softmax(np.ravel(logits))
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(CLASSES[index], float(probabilities[index])) for index in order]
