"""Open uploaded pictures: known formats, bounded sizes, and a clear message for everything else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from infra.errors import UserError
from infra.web.demo import Pixels

MOST_PICTURES = 8  # at once
MOST_BYTES = 20 * 2**20  # of a file
MOST_PIXELS = 50_000_000  # as a camera's; 150 MB when decoded
# Formats that Pillow decodes itself; EPS would start another program.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_HINT = "take a PNG, JPEG, WebP, BMP, GIF or TIFF"


@dataclass(frozen=True)
class Opened:
    """A decoded picture.

    Attributes:
        pixels: as the networks get it.
        note: what was left out, such as further frames.
    """

    pixels: Pixels
    note: str = ""


def is_upload(path: Path, uploads: Path) -> bool:
    """True for a regular file below the folder `uploads`, once links are followed."""
    try:
        real = path.resolve()
        return real.is_relative_to(uploads.resolve()) and real.is_file()
    except (OSError, ValueError):
        return False


def open_picture(path: Path, name: str, prepare: Callable[[Image.Image], Pixels]) -> Opened:
    """Decode a picture.

    Args:
        path: the file.
        name: for messages.
        prepare: converts any picture to the networks' input.

    Raises:
        UserError: it is empty, too large, of an unknown format, or damaged.
    """
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{name} is empty", hint=_HINT)
    if size > MOST_BYTES:
        raise UserError(
            f"{name} has {size / 2**20:.1f} MB, more than {MOST_BYTES / 2**20:.0f}", hint="take a smaller one"
        )
    try:
        with Image.open(path, formats=FORMATS) as picture:
            _check_pixels(picture, name)
            picture.load()
            # The second picture of an MPO, a JPEG as some cameras write it, is another view of the first.
            moves = getattr(picture, "is_animated", False) and picture.format != "MPO"
            return Opened(prepare(picture), "the first of several frames" if moves else "")
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{name} is not a picture, or has an unknown format", hint=_HINT) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(name) from None
    except Exception as error:  # Pillow raises many kinds of errors for broken files
        raise UserError(f"{name} is damaged: {error}", hint="save or download it again") from error


def _check_pixels(picture: Image.Image, name: str) -> None:
    """Check the size in the header, before anything is decoded."""
    if picture.size[0] * picture.size[1] > MOST_PIXELS:
        raise _too_many_pixels(name)


def _too_many_pixels(name: str) -> UserError:
    most = f"{MOST_PIXELS / 1e6:.0f} million"
    return UserError(f"{name} has more than {most} pixels", hint="make it smaller")
