"""Pictures from files to batches: AtlasFlow, and torchvision's ImageFolder with a DataLoader of two workers, in turn.

    python -m tests.bench.images [--pictures N] [--size PIXELS] [--rounds N] [--peer PYTHON] [--json]

Photographs of 500 x 500 pixels are drawn once. AtlasFlow prepares them (decodes, resizes, looks for duplicates, splits,
writes), prepares them again with 20 more, and then reads batches of 32 as a training does, with shifts and mirroring;
torchvision decodes in each epoch. `--peer` names a Python with torchvision; without one its columns stay empty. The
processor time of our batches is one thread's; the peak memory is that of a process that only reads batches.

Goals: 10,000 photographs in 90 s; batches at 224 pixels at twice the rate at which MobileNetV2 trains
(`tests.bench.training`); 1.5 GB for a training on 10 GB, of which the pixels are read by rows.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from infra.store.artifacts import folder_files
from models.data.images import read_images
from models.data.pipeline import Pipeline
from models.preprocess import Contract
from tasks.dataset.prepare import prepare
from tasks.dataset.values import Rules
from tests.bench.common import median, show

CHECKOUT = Path(__file__).parents[2]
PEER = CHECKOUT / "tests" / "bench" / "programs" / "images_torchvision.py"
SIDE, CLASSES, BATCH, MORE, EPOCHS = 500, 10, 32, 20, 2
READER = """
import resource, sys
from pathlib import Path
from tests.bench.images import batches
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
batches(Path(sys.argv[1]), int(sys.argv[2]))
print(before / 1e3, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000, help="photographs")
    parser.add_argument("--size", type=int, default=224, help="pixels of the network's input")
    parser.add_argument("--rounds", type=int, default=1, help="how often everything is measured, in turn")
    parser.add_argument("--peer", default="", help="a Python with torchvision")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    measured: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as text:
        folder = Path(text)
        draw(folder / "photos", 0, options.pictures)
        for number in range(options.rounds):
            found = turn(folder / f"round-{number}", folder / "photos", options)
            for name, value in found.items():
                measured.setdefault(name, []).append(value)
            for path in (folder / "photos").rglob("more-*.jpg"):
                path.unlink()
    row = {name: median(values) for name, values in measured.items()}
    show("images", [{"pictures": options.pictures, "size": options.size, **row}], as_json=options.json)


def turn(folder: Path, photos: Path, options: argparse.Namespace) -> dict[str, float]:
    """Measure everything once."""
    home = folder / "home"
    first, used, data = prepared(photos, folder / "first", home, options.size)
    keep(data, home)
    draw(photos, options.pictures, MORE)
    second, more, _ = prepared(photos, folder / "second", home, options.size)
    wall, processor = batches(data, options.size)
    command = [sys.executable, "-c", READER, str(data), str(options.size)]
    said = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split()
    row = {"prepare, s": first, "its processor s": used, f"{MORE} more, s": second, "their processor s": more}
    row |= {"batches, img/s": wall, "of processor time": processor}
    row |= {"MB before": float(said[0]), "peak MB": float(said[1])}
    if options.peer:
        peer = [options.peer, str(PEER), str(photos), str(options.size), str(BATCH), str(EPOCHS)]
        lines = subprocess.run(peer, capture_output=True, text=True, check=True).stdout.split()
        row["torchvision, img/s"] = median([float(line) for line in lines])
    return row


def draw(folder: Path, first: int, count: int) -> None:
    """Write photographs: smooth colours with noise, so that JPEG has work as with a camera's pictures."""
    for number in range(first, first + count):
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((SIDE, SIDE), 3)
        noise = random.integers(-12, 13, (SIDE, SIDE, 3), dtype=np.int16)
        pixels = np.clip(np.asarray(coarse, np.int16) + noise, 0, 255).astype(np.uint8)
        name = f"{'more-' if first else ''}{number:06d}.jpg"
        path = folder / f"class-{number % CLASSES}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=85)


def prepared(photos: Path, folder: Path, home: Path, size: int) -> tuple[float, float, Path]:
    """Prepare the photographs, whose digests are known: seconds, seconds of processors, and the data set."""
    folder.mkdir(parents=True)
    files = folder_files(photos)[1]
    rules = Rules(size, "stretch", "bilinear", "exif", 0.2, 1, 0.0, "fine")
    begun, before = time.perf_counter(), sum(os.times()[:4])
    made = prepare(files, None, rules, folder, home, lambda _done, _total: None)
    return time.perf_counter() - begun, sum(os.times()[:4]) - before, made.folder


def keep(data: Path, home: Path) -> None:
    """Put the pixel files where the store has them, by their digests."""
    for path in data.rglob("pixels-*.npy"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        target = home / "objects" / digest[:2] / digest[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(path)


def batches(data: Path, size: int) -> tuple[float, float]:
    """Images a second from the prepared files to normalised batches: of time, and of processor time."""
    made = Pipeline(read_images(data, "train"), BATCH, Contract(size), 1, CLASSES, crop=size // 8, flip=True)
    begun, processor, done = time.perf_counter(), time.process_time(), 0
    for epoch in range(1, EPOCHS + 1):
        done += sum(len(labels) for _, labels in made.epoch(epoch))
    return done / (time.perf_counter() - begun), done / (time.process_time() - processor)


if __name__ == "__main__":
    main()
