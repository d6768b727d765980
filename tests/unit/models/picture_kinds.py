"""Pictures of every kind as files, made by this environment's Pillow; and a program that decodes them with any Pillow.

`python picture_kinds.py FOLDER PREPROCESS` decodes the files of the folder by the module at PREPROCESS, as every input
contract does, and prints a JSON object: file and contract to SHA-256 of the image, or the error. It runs on Python 3.6.
"""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CONTRACTS = (("stretch", "bilinear"), ("crop", "bicubic"), ("letterbox", "lanczos"))
SIZE = 32


def make(folder: Path) -> None:
    """Write a file of each kind into a folder."""
    random = np.random.default_rng(5)
    rows, columns = np.mgrid[0:61, 0:84]
    pixels = np.stack([rows * 4, columns * 3, 120 + 60 * np.sin(rows / 5) * np.cos(columns / 7)], axis=-1)
    pixels = np.clip(pixels + random.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    alpha = picture.copy()
    alpha.putalpha(Image.fromarray(np.clip(rows * 5, 0, 255).astype(np.uint8)))
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6

    def save(name: str, what: Image.Image, **options: Any) -> None:
        what.save(str(folder / name), **options)

    for quality, sampling in ((60, 2), (92, 0)):
        save(f"quality-{quality}.jpg", picture, quality=quality, subsampling=sampling)
    save("progressive.jpg", picture, progressive=True)
    save("turned.jpg", picture, exif=turned)
    save("grey.jpg", picture.convert("L"))
    save("cmyk.jpg", picture.convert("CMYK"))
    save("rgb.png", picture)
    save("turned.png", picture, exif=turned)
    save("grey.png", picture.convert("L"))
    save("bits.png", picture.convert("1"))
    save("deep.png", deep)
    save("alpha.png", alpha)
    save("grey-alpha.png", alpha.convert("LA"))
    save("palette.png", picture.quantize(40))
    save("palette-hole.png", picture.quantize(40), transparency=3)
    save("lossless.webp", picture, lossless=True)
    save("lossy.webp", picture, quality=80)
    save("alpha.webp", alpha, lossless=True)
    save("rgb.bmp", picture)
    save("palette.bmp", picture.quantize(16))
    save("palette.gif", picture.quantize(60))
    save("frames.gif", picture.quantize(60), save_all=True, append_images=[picture.convert("L").quantize(9)])
    save("rgb.tif", picture)
    save("lzw.tif", picture, compression="tiff_lzw")
    save("deep.tif", deep)
    save("cmyk.tif", picture.convert("CMYK"))


def decode(folder: Path, preprocess: Any) -> "dict[str, str]":
    """Decode the files; see the module's docstring."""
    found = {}
    for path in sorted(folder.iterdir()):
        for fit, interpolation in CONTRACTS:
            contract = preprocess.Contract(SIZE, fit=fit, interpolation=interpolation)
            try:
                image = contract.image(contract.open(str(path)))
                said = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
            except Exception as error:  # noqa: BLE001 - it is what the table is about
                said = f"{type(error).__name__}: {error}"
            found[f"{path.name} {fit}"] = said
    return found


if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("preprocess", sys.argv[2])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    print(json.dumps(decode(Path(sys.argv[1]), module)))
