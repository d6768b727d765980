"""The input contract: from pixels to the network's tensor, and from logits to probabilities.

Training, evaluation, export, the AIPP configuration and the boards use this module. A copy of it runs on boards: numpy
and Pillow only, Python 3.6 syntax. Normalised values come from a table of the 256 pixel values, so that every processor
produces the same bits, also those that fuse multiplication and addition.
"""

import warnings
from typing import Any, BinaryIO, Dict, List, NamedTuple, Sequence, Tuple, Union  # noqa: F401 - some only for the types

import numpy as np
from PIL import Image

# Resampling filters of Pillow; their names depend on its version, the numbers do not.
INTERPOLATIONS = {"nearest": 0, "bilinear": 2, "bicubic": 3, "lanczos": 1, "box": 4}
# stretch: the whole picture becomes the square, as in the board tutorial (docs/reference/tutorials.md T2); crop: the
# largest centred square; letterbox: the whole picture, its longer side fills the square, on black.
FITS = ("stretch", "crop", "letterbox")
# exif: as the camera says; stored: as the pixels lie in the file.
ORIENTATIONS = ("exif", "stored")
# EXIF orientation to the argument of Image.transpose that turns the picture upright; FLIP_LEFT_RIGHT is
# 0, FLIP_TOP_BOTTOM 1, ROTATE_90, 180 and 270 2, 3 and 4, TRANSPOSE 5, TRANSVERSE 6 (CIPA DC-008 2012, table 4).
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
# Modes without a fixed scale, or that only some versions of Pillow convert.
_REFUSED = {
    "I": "32-bit pixels have no fixed scale",
    "F": "floating-point pixels have no fixed scale",
    "LAB": "LAB colours",
}
_EXIF_HEAD = b"Exif\0\0"


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
    # The constants that torchvision documents for its pretrained models.
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "RGB"),
}  # type: Dict[str, Normalisation]


class Contract(NamedTuple):
    """The input contract of a model: how a picture file becomes the network's tensor.

    Attributes:
        size: height and width of the network's input in pixels.
        normalisation: of the pixels.
        fit: how a picture becomes square, one of `FITS`.
        interpolation: one of `INTERPOLATIONS`.
        orientation: one of `ORIENTATIONS`.
    """

    size: int
    normalisation: Normalisation = CIFAR10
    fit: str = "stretch"
    interpolation: str = "bilinear"
    orientation: str = "exif"

    def open(self, file):
        # type: (Union[str, BinaryIO]) -> Image.Image
        """Read a picture as RGB, upright; see `open_picture`."""
        return open_picture(file, self.orientation)

    def image(self, picture):
        # type: (Image.Image) -> np.ndarray[Any, Any]
        """Convert a picture of any size and mode to uint8 [size, size, 3], RGB."""
        return from_picture(picture, self.size, self.fit, self.interpolation, self.orientation)

    def resize(self, images):
        # type: (np.ndarray[Any, Any]) -> np.ndarray[Any, Any]
        """Resize square images, uint8 [n, side, side, 3], to the network's size."""
        return resize(images, self.size, self.interpolation)

    def tensor(self, images):
        # type: (np.ndarray[Any, Any]) -> np.ndarray[Any, Any]
        """Convert square images, uint8 [n, side, side, 3], RGB, to float32 [n, 3, size, size]."""
        return normalise(self.resize(images), self.normalisation)

    def to_json(self):
        # type: () -> Dict[str, Any]
        """Return plain values."""
        values = dict(self._asdict(), image_size=self.size, normalisation=dict(self.normalisation._asdict()))
        del values["size"]
        return values


def contract_from_json(values):
    # type: (Dict[str, Any]) -> Contract
    """Read a contract; a release from before the fields `fit`, `interpolation` and `orientation` lacks them.

    Raises:
        KeyError, TypeError, ValueError: a value is missing or invalid.
    """
    said = values["normalisation"]
    normalisation = Normalisation(tuple(said["mean"]), tuple(said["std"]), str(said["order"]))
    more = {name: values[name] for name in ("fit", "interpolation", "orientation") if name in values}
    contract = Contract(int(values["image_size"]), normalisation, **more)
    if (
        contract.fit not in FITS
        or contract.interpolation not in INTERPOLATIONS
        or contract.orientation not in ORIENTATIONS
    ):
        raise ValueError("unknown input contract {}, {}, {}".format(*contract[2:]))
    return contract


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


class PictureError(ValueError):
    """A picture whose pixels not every version of Pillow converts to the same RGB values."""


def open_picture(file, orientation="exif"):
    # type: (Union[str, BinaryIO], str) -> Image.Image
    """Read a picture file as RGB: its first frame, as `to_rgb` converts it.

    Args:
        file: path, or a file that is open for reading.
        orientation: one of `ORIENTATIONS`.

    Raises:
        PictureError: see `to_rgb`.
        Exception: any exception of Pillow, for a broken or too large file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large pictures and broken metadata; errors remain
        with Image.open(file) as picture:
            return to_rgb(picture, orientation)


def to_rgb(picture, orientation="exif"):
    # type: (Image.Image, str) -> Image.Image
    """Convert any picture to 8-bit RGB, upright; idempotent.

    Apply the EXIF orientation, unless the pixels stay as they are `stored`; put transparent pixels on white; convert
    grey, palette, CMYK and 16-bit pictures. Pixels are scaled by their type and never by their content, so a dark
    picture stays dark.

    Raises:
        PictureError: its pixels are floating-point or 32-bit numbers, whose scale no file names, or LAB colours.
    """
    style = picture.format  # a turned picture has none
    picture.load()
    turn = _TURNS.get(_orientation(picture)) if orientation == "exif" else None
    if turn is not None:
        picture = picture.transpose(turn)  # type: ignore[arg-type]
    # Pillow before 11.3 opens a 16-bit PNG or PPM in the mode of 32-bit numbers.
    if picture.mode.startswith("I;16") or (picture.mode == "I" and style in ("PNG", "PPM")):
        deep = np.asarray(picture, dtype=np.float64)
        picture = Image.fromarray(np.clip(np.rint(deep * (255.0 / 65535.0)), 0, 255).astype(np.uint8))
    if picture.mode in _REFUSED:
        raise PictureError("{}: save the picture as RGB with 8 bits".format(_REFUSED[picture.mode]))
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(ground, picture)
    picture = picture.convert("RGB")
    picture.info = {}  # so that a second call does not turn it again
    return picture


def _orientation(picture):
    # type: (Image.Image) -> int
    """Return the orientation of the picture's EXIF data, 1 to 8; 1 when there is none, or it is damaged.

    Read here, since versions of Pillow differ in what they refuse: 5.1, which Ubuntu 18.04 has, cannot turn pictures.
    """
    exif = picture.info.get("exif") or _raw_profile(picture.info.get("Raw profile type exif", ""))
    if not exif:
        # A TIFF has tags in their place; versions that have `getexif`, from 6.0, obey them while they load it.
        tag = 1 if hasattr(picture, "getexif") else getattr(picture, "tag_v2", {}).get(0x0112)
        return tag if isinstance(tag, int) else 1
    while exif.startswith(_EXIF_HEAD):
        exif = exif[len(_EXIF_HEAD) :]
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    big = exif.startswith(b"MM")

    def number(start, size):
        # type: (int, int) -> int
        return int.from_bytes(exif[start : start + size], "big" if big else "little")

    first = number(4, 4)
    for place in range(first + 2, min(len(exif), first + 2 + 12 * number(first, 2)), 12):
        if number(place, 2) == 0x0112:
            short = number(place + 2, 2) == 3 and number(place + 4, 4) == 1
            return number(place + 8, 2) if short else 1
    return 1


def _raw_profile(text):
    # type: (str) -> bytes
    """Return the EXIF data that ImageMagick writes into a PNG as hexadecimal text; empty when it is damaged."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def from_picture(picture, size, fit="stretch", interpolation="bilinear", orientation="exif"):
    # type: (Image.Image, int, str, str, str) -> np.ndarray[Any, Any]
    """Convert a picture to an RGB image of the network's size.

    Args:
        picture: a Pillow image of any mode.
        size: height and width in pixels.
        fit: one of `FITS`.
        interpolation: one of `INTERPOLATIONS`.
        orientation: one of `ORIENTATIONS`.

    Returns:
        uint8 [size, size, 3], RGB.

    Raises:
        PictureError: see `to_rgb`.
    """
    picture = to_rgb(picture, orientation)
    width, height = picture.size
    method = INTERPOLATIONS[interpolation]
    if fit == "crop" and width != height:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    if fit == "letterbox" and width != height:
        longest = max(width, height)
        inner = [max(1, (2 * length * size + longest) // (2 * longest)) for length in (width, height)]
        ground = Image.new("RGB", (size, size))
        place = ((size - inner[0]) // 2, (size - inner[1]) // 2)
        ground.paste(picture.resize((inner[0], inner[1]), method), place)
        picture = ground
    if picture.size != (size, size):
        picture = picture.resize((size, size), method)
    return np.asarray(picture, dtype=np.uint8)


def resize(images, size, interpolation="bilinear"):
    # type: (np.ndarray[Any, Any], int, str) -> np.ndarray[Any, Any]
    """Resize square images exactly as `from_picture` does.

    Args:
        images: uint8 [n, side, side, 3], RGB.
        size: height and width in pixels.
        interpolation: one of `INTERPOLATIONS`.

    Returns:
        uint8 [n, size, size, 3]; the argument itself when the size fits.
    """
    if images.shape[1:3] == (size, size):
        return images
    method = INTERPOLATIONS[interpolation]
    resized = [np.asarray(Image.fromarray(image).resize((size, size), method)) for image in images]
    return np.stack(resized) if resized else np.empty((0, size, size, 3), np.uint8)


def softmax(logits):
    # type: (np.ndarray[Any, Any]) -> np.ndarray[Any, Any]
    """Return probabilities along the last axis, without overflow."""
    logits = np.asarray(logits, dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def best(logits, names, count=5):
    # type: (np.ndarray[Any, Any], Sequence[str], int) -> List[Tuple[str, float]]
    """Return the most probable classes of one image as (name, probability), best first; ties: smaller number first."""
    probabilities = softmax(np.ravel(logits))
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(names[index], float(probabilities[index])) for index in order]
