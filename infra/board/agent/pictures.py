"""Write the recognised class below a picture or on it, without a font file."""

import os
from typing import Sequence, Set, Tuple

from PIL import Image, ImageDraw, ImageFont

JPEG = (".jpg", ".jpeg")
SHORTEST = 256  # pixels; smaller pictures are enlarged for the text
LONGEST = 4096  # pixels; the limit of enlarging
MARGIN = 6


def caption_mask(text: str, height: int) -> Image.Image:
    """Text as a grey picture `height` pixels high, in Pillow's built-in font."""
    canvas = Image.new("L", (24 * len(text) + 24, 48))
    ImageDraw.Draw(canvas).text(
        (0, 0), text.encode("ascii", "replace").decode(), fill=255, font=ImageFont.load_default()
    )
    small = canvas.crop(canvas.getbbox())
    return small.resize((max(1, small.size[0] * height // small.size[1]), height), Image.BILINEAR)  # type: ignore[attr-defined]


def annotate(picture: Image.Image, top: Sequence[Tuple[str, float]]) -> Image.Image:
    """The picture with a bar below that shows the best class and its probability."""
    shown = picture.convert("RGB")
    factor = min(-(-SHORTEST // min(shown.size)), LONGEST // max(shown.size))
    if factor > 1:
        shown = shown.resize((shown.size[0] * factor, shown.size[1] * factor), Image.NEAREST)  # type: ignore[attr-defined]
    label, confidence = top[0]
    width = max(1, shown.size[0] - 2 * MARGIN)
    text = caption_mask(f"{label} {confidence:.1%}", max(16, shown.size[1] // 16))
    if text.size[0] > width:
        text = text.resize((width, text.size[1]), Image.BILINEAR)  # type: ignore[attr-defined]
    whole = Image.new("RGB", (shown.size[0], shown.size[1] + text.size[1] + 2 * MARGIN), (0, 0, 0))
    whole.paste(shown, (0, 0))
    whole.paste((255, 255, 255), (MARGIN, shown.size[1] + MARGIN), text)
    return whole


def write_on(picture: Image.Image, top: Sequence[Tuple[str, float]]) -> Image.Image:
    """The picture in its own size, with the best class and its probability on it, white with a dark edge."""
    shown = picture.convert("RGB")
    width, height = shown.size
    text = caption_mask(f"{top[0][0]} {top[0][1]:.1%}", max(8, height // 10))
    if text.size[0] > width:
        text = text.resize((width, text.size[1]), Image.BILINEAR)  # type: ignore[attr-defined]
    left, upper = min(MARGIN, width - text.size[0]), min(MARGIN, max(0, height - text.size[1]))
    for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        shown.paste((0, 0, 0), (left + x, upper + y), text)
    shown.paste((255, 255, 255), (left, upper), text)
    return shown


def save(picture: Image.Image, folder: str, name: str, taken: Set[str], same_name: bool = False) -> str:
    """Write a picture with the original's name atomically; equal names get a number. Returns its path.

    Args:
        picture: to write.
        folder: made when it is missing.
        name: of the original.
        taken: names that were given before; the new one is added.
        same_name: keep a JPEG's name and form; everything else becomes a PNG.
    """
    stem, suffix = os.path.splitext(os.path.basename(name))
    ending = suffix if same_name and suffix.lower() in JPEG else ".png"
    stem += "" if same_name or suffix.lower() == ".png" else suffix
    stem = "".join(char if char.isprintable() and char not in "\\:" else "_" for char in stem)  # clients refuse others
    unique, number = stem + ending, 1
    while unique in taken:
        number += 1
        unique = f"{stem}-{number}{ending}"
    taken.add(unique)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, unique)
    picture.save(path + ".new", format="PNG" if ending == ".png" else "JPEG", quality=95)
    os.replace(path + ".new", path)
    return path
