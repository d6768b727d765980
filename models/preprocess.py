"""The input contract: from pixels to the network's tensor, and from logits to probabilities.

Training, evaluation, export, the AIPP configuration and the boards use this module. A copy of it runs on boards: numpy
and Pillow only, Python 3.6 syntax. Normalised values come from a table of the 256 pixel values, so that every processor
produces the same bits, also those that fuse multiplication and addition.
"""

from typing import Any, Dict, List, NamedTuple, Tuple  # noqa: F401 - some only for the types

import numpy as np
from PIL import Image, ImageOps

# Image.BILINEAR; the name depends on the version of Pillow, the number does not.
_BILINEAR = 2
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Normalisation(NamedTuple):
    """Normalisation of a pixel, per channel: (value / 255 - mean) / std.

    Attributes:
        mean: mean of each channel, in the tensor's order, on a scale of 0 to 1.
        std: standard deviation, likewise.
        order: colour order of the tensor's channels, `RGB` or `BGR`.
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
    # docs/reference/pitfalls.md §8.1: a sample program reverses the colours and keeps the constants.
    "cifar10-bgr": Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), "BGR"),
}  # type: Dict[str, Normalisation]


def table(normalisation):
    # type: (Normalisation) -> np.ndarray[Any, Any]
    """Return the normalised value of each pixel value: float32 [3, 256], rows in the tensor's channel order."""
    pixels = np.arange(256, dtype=np.float64) / 255.0
    rows = [(pixels - mean) / std for mean, std in zip(normalisation.mean, normalisation.std)]  # noqa: B905 - newer than 3.6
    return np.stack(rows).astype(np.float32)  # type: ignore[no-any-return]


def normalise(images, normalisation=CIFAR10):
    # type: (np.ndarray[Any, Any], Normalisation) -> np.ndarray[Any, Any]
    """Convert RGB images to the network's input.

    Args:
        images: uint8 [n, height, width, 3], RGB.
        normalisation: the normalisation of the training.

    Returns:
        float32 [n, 3, height, width], contiguous.

    Raises:
        ValueError: the images have another type or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            "images must be uint8 [n, height, width, 3], not {} {}".format(images.dtype, list(images.shape))
        )
    values = table(normalisation)
    tensor = np.empty((images.shape[0], 3, images.shape[1], images.shape[2]), np.float32)
    for channel, colour in enumerate(normalisation.order):
        # mode="clip" skips the bounds check, which a byte always passes.
        np.take(values[channel], images[..., "RGB".index(colour)], out=tensor[:, channel], mode="clip")
    return tensor


def from_picture(picture, size):
    # type: (Image.Image, int) -> np.ndarray[Any, Any]
    """Convert any picture to an RGB image of the network's size.

    Apply the EXIF orientation; put transparent pixels on white; convert grey, palette, CMYK and 16-bit pictures to RGB.
    The whole picture is stretched to the square, as in the board tutorial (docs/reference/tutorials.md T2).

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
        uint8 [n, size, size, 3]; the argument itself when the size fits.
    """
    if images.shape[1:3] == (size, size):
        return images
    resized = [np.asarray(Image.fromarray(image).resize((size, size), _BILINEAR)) for image in images]
    return np.stack(resized) if resized else np.empty((0, size, size, 3), np.uint8)


def softmax(logits):
    # type: (np.ndarray[Any, Any]) -> np.ndarray[Any, Any]
    """Return probabilities along the last axis, without overflow."""
    logits = np.asarray(logits, dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def best(logits, count=5):
    # type: (np.ndarray[Any, Any], int) -> List[Tuple[str, float]]
    """Return the most probable classes of one image as (name, probability), best first; ties: smaller number first."""
    probabilities = softmax(np.ravel(logits))
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(CLASSES[index], float(probabilities[index])) for index in order]
