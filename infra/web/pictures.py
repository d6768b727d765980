"""Open what people upload: known formats only, nothing huge, and a message that tells what is wrong with the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from infra.errors import UserError
from infra.web.demo import Pixels

MOST_PICTURES = 8  # at once
MOST_BYTES = 20 * 2**20  # of a file
MOST_PIXELS = 50_000_000  # of a picture: a camera's; decoded, it takes 150 MB
# Those that Pillow decodes by itself: EPS, for one, would start another program.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_HINT = "take a PNG, JPEG, WebP, BMP, GIF or TIFF"


@dataclass(frozen=True)
class Opened:
    """A picture that could be read whole.

    Attributes:
        pixels: as the networks are given it.
        note: what was left out, such as the frames behind the first.
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
    """Read a picture whole.

    Args:
        path: the file.
        name: what it is called in messages.
        prepare: makes of any picture what the networks are given.

    Raises:
        UserError: it is empty, too large, of no known format, or damaged; the message is for who uploaded it.
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
        raise UserError(f"{name} is no picture, or of a kind that is not read here", hint=_HINT) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(name) from None
    except Exception as error:  # Pillow raises what it likes for broken files; it is reported
        raise UserError(f"{name} is damaged: {error}", hint="save or download it again") from error


def _check_pixels(picture: Image.Image, name: str) -> None:
    """The header tells the size; nothing is decoded yet."""
    if picture.size[0] * picture.size[1] > MOST_PIXELS:
        raise _too_many_pixels(name)


def _too_many_pixels(name: str) -> UserError:
    most = f"{MOST_PIXELS / 1e6:.0f} million"
    return UserError(f"{name} has more than {most} pixels", hint="make it smaller; networks here see few of them")
