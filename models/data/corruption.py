"""Image corruptions for measuring robustness: nine kinds in five severities, with numpy and Pillow.

Kinds and severities are those of CIFAR-10-C (D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness
to Common Corruptions and Perturbations", ICLR 2019, arXiv:1903.12261). The constants come from the
authors' program: github.com/hendrycks/robustness, ImageNet-C/create_c/make_cifar_c.py.
Frost (needs extra pictures), fog and snow (need random landscapes or drops), glass, elastic and zoom (warp the image)
are left out. The random numbers differ, so the images are comparable with the original ones, but not equal.
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

SEVERITIES = (1, 2, 3, 4, 5)
_CHUNK = 1000  # images per pass: 25 MB in float64

# One value per severity.
_GAUSSIAN_NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation, on a scale of 0 to 1
_SHOT_NOISE = (500, 250, 100, 75, 50)  # photons of a white pixel
_IMPULSE_NOISE = (0.01, 0.02, 0.03, 0.05, 0.07)  # share of the values that become black or white
_DEFOCUS_BLUR = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))  # radius; sigma that softens its rim
_MOTION_BLUR = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))  # radius, sigma
_BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)  # added to V of HSV
_CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)  # factor of the distance to the image's mean
_PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)  # share of the side that is kept
_JPEG = (80, 65, 58, 50, 40)  # quality


def corrupt(pixels: NDArray[np.uint8], name: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """Corrupt images; equal arguments give equal bytes.

    Args:
        pixels: uint8 [n, height, width, 3], RGB; not changed.
        name: one of `NAMES`.
        severity: 1 to 5.
        seed: seed of the random numbers, which differ for each kind and severity.

    Returns:
        uint8 [n, height, width, 3].

    Raises:
        ValueError: the name or severity is unknown, or the images have another type or shape.
    """
    if name not in _KINDS:
        raise ValueError(f"unknown corruption '{name}'; use one of {', '.join(NAMES)}")
    if severity not in SEVERITIES:
        raise ValueError(f"a severity is 1 to 5, not {severity}")
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"images are uint8 [n, height, width, 3], not {pixels.dtype} {list(pixels.shape)}")
    random = np.random.default_rng([seed, zlib.crc32(name.encode()), severity])
    result = np.empty_like(pixels)
    for first in range(0, len(pixels), _CHUNK):
        part = slice(first, first + _CHUNK)
        result[part] = _KINDS[name](pixels[part], severity - 1, random)
    return result


def _gaussian_noise(pixels: NDArray[np.uint8], level: int, random: Generator) -> NDArray[np.uint8]:
    return _bytes(_unit(pixels) + random.normal(0.0, _GAUSSIAN_NOISE[level], pixels.shape))


def _shot_noise(pixels: NDArray[np.uint8], level: int, random: Generator) -> NDArray[np.uint8]:
    photons = _SHOT_NOISE[level]
    return _bytes(random.poisson(_unit(pixels) * photons) / photons)


def _impulse_noise(pixels: NDArray[np.uint8], level: int, random: Generator) -> NDArray[np.uint8]:
    """Set colour values to black or white, each independently."""
    hit = random.random(pixels.shape) < _IMPULSE_NOISE[level]
    white = random.random(pixels.shape) < 0.5
    return np.where(hit, np.where(white, 255, 0), pixels).astype(np.uint8)


def _defocus_blur(pixels: NDArray[np.uint8], level: int, _random: Generator) -> NDArray[np.uint8]:
    """Convolve with a disk, softened by a Gaussian of 3 x 3; the image is mirrored at its edges."""
    radius, sigma = _DEFOCUS_BLUR[level]
    reach = int(radius) + 1
    place = np.arange(-reach, reach + 1)
    disk = (place[:, None] ** 2 + place[None, :] ** 2 <= radius**2).astype(np.float64)
    side = np.exp(-(np.arange(-1, 2) ** 2) / (2 * sigma**2))
    soft = np.outer(side, side) / side.sum() ** 2
    kernel = np.zeros_like(disk)
    for (row, column), share in np.ndenumerate(soft):
        kernel += share * np.roll(disk / disk.sum(), (row - 1, column - 1), axis=(0, 1))
    height, width = pixels.shape[1:3]
    padded = np.pad(_unit(pixels), ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    result = np.zeros(pixels.shape)
    for (row, column), share in np.ndenumerate(kernel):
        result += share * padded[:, row : row + height, column : column + width]
    return _bytes(result)


def _motion_blur(pixels: NDArray[np.uint8], level: int, random: Generator) -> NDArray[np.uint8]:
    """Average along a line with the weights of half a Gaussian, like ImageMagick's motion blur; angle -45° to 45°."""
    radius, sigma = _MOTION_BLUR[level]
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    angles = np.deg2rad(random.uniform(-45.0, 45.0, len(pixels)))
    count, height, width = pixels.shape[:3]
    image, row, column = np.ogrid[:count, :height, :width]
    values, result = _unit(pixels), np.zeros(pixels.shape)
    for step, weight in zip(steps, weights):  # noqa: B905 - newer than Python 3.9
        down = np.rint(step * np.sin(angles)).astype(int)[:, None, None]
        right = np.rint(step * np.cos(angles)).astype(int)[:, None, None]
        rows, columns = np.clip(row + down, 0, height - 1), np.clip(column + right, 0, width - 1)
        result += weight * values[image, rows, columns]
    return _bytes(result)


def _brightness(pixels: NDArray[np.uint8], level: int, _random: Generator) -> NDArray[np.uint8]:
    """Increase V of HSV; with equal hue and saturation, all three colours grow by one factor."""
    values = _unit(pixels)
    before = values.max(axis=3, keepdims=True)
    after = np.minimum(before + _BRIGHTNESS[level], 1.0)
    factor = np.divide(after, before, out=np.zeros_like(after), where=before > 0)
    return _bytes(np.where(before > 0, values * factor, after))


def _contrast(pixels: NDArray[np.uint8], level: int, _random: Generator) -> NDArray[np.uint8]:
    values = _unit(pixels)
    mean = values.mean(axis=(1, 2), keepdims=True)
    return _bytes((values - mean) * _CONTRAST[level] + mean)


def _pixelate(pixels: NDArray[np.uint8], level: int, _random: Generator) -> NDArray[np.uint8]:
    height, width = pixels.shape[1:3]
    share, box = _PIXELATE[level], Image.Resampling.BOX
    small = (max(1, int(width * share)), max(1, int(height * share)))
    return _each(pixels, lambda picture: picture.resize(small, box).resize((width, height), box))


def _jpeg_compression(pixels: NDArray[np.uint8], level: int, _random: Generator) -> NDArray[np.uint8]:
    def through_jpeg(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=_JPEG[level])
        return Image.open(file)

    return _each(pixels, through_jpeg)


_KINDS: dict[str, Callable[[NDArray[np.uint8], int, Generator], NDArray[np.uint8]]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
}
NAMES: tuple[str, ...] = tuple(_KINDS)


def _unit(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return pixels / 255.0


def _bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Convert values from 0 to 1 to bytes; truncate, as the authors' program does."""
    # 1e-9: otherwise k / 255 * 255 may be just below k.
    return (np.clip(values, 0.0, 1.0) * 255.0 + 1e-9).astype(np.uint8)


def _each(pixels: NDArray[np.uint8], change: Callable[[Image.Image], Image.Image]) -> NDArray[np.uint8]:
    result = np.empty_like(pixels)
    for index, image in enumerate(pixels):
        result[index] = np.asarray(change(Image.fromarray(image)).convert("RGB"))
    return result
