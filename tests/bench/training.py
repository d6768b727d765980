"""Training on this machine's CPU: AtlasFlow, stock MindSpore and PyTorch at the same work, in turn.

    python -m tests.bench.training [--rounds N] [--slow N] [--json]

Each measurement is a process of its own. Goal, as a share of PyTorch's images a second: lenet5 at least 0.6, resnet20
0.4, resnet50 0.45, mobilenetv2 1.0, which is what we aim for everywhere. Stock MindSpore needs a minute a step on some
machines, so it and AtlasFlow without its kernels have rounds of their own (1; 0 leaves them out). On a busy machine
PyTorch's threads, which wait actively for each other, lose more than ours; the shares by the fastest steps, which
others disturbed least, and by processor time tell how much of the result is that. Last comes the input pipeline alone
(decode, crop, flip, normalise, batch), whose goal is 20,000 images a second.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from models.data.images import read_images
from models.data.pipeline import Pipeline
from models.data.records import RECORD_BYTES
from models.preprocess import Contract
from tests.bench.common import PEERS, median, show

CHECKOUT = Path(__file__).parents[2]
# Network, images in a batch, their size in pixels, goal.
WORK = (
    ("lenet5", 32, 32, 0.6),
    ("resnet20", 128, 32, 0.4),
    ("resnet50", 32, 32, 0.45),
    ("mobilenetv2", 32, 32, 1.0),
    ("mobilenetv2", 8, 224, 1.0),
)
SECONDS = "2"
OURS = [sys.executable, "-m", "tests.bench.programs.train_mindspore"]
TORCH = [str(PEERS / "python"), str(CHECKOUT / "tests" / "bench" / "programs" / "train_torch.py")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured, in turn")
    parser.add_argument("--slow", type=int, default=1, help="in how many of them the slow ones are measured too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows = []
    for network, batch, size, goal in WORK:
        what = [network, str(batch), str(size), SECONDS]
        measured: dict[str, list[list[float]]] = {"AtlasFlow": [], "without kernels": [], "PyTorch": [], "stock": []}
        for turn in range(options.rounds):
            measured["PyTorch"].append(rates([*TORCH, *what]))
            measured["AtlasFlow"].append(rates([*OURS, "atlasflow", *what]))
            if turn < options.slow:
                measured["without kernels"].append(rates([*OURS, "settings", *what]))
                measured["stock"].append(rates([*OURS, "stock", *what]))
        usual = {name: median([three[0] for three in found]) for name, found in measured.items() if found}
        fastest = {name: max(three[1] for three in found) for name, found in measured.items() if found}
        processor = {name: median([three[2] for three in found]) for name, found in measured.items() if found}
        row: dict[str, object] = {"network": network, "batch": batch, "size": size}
        row |= {f"{name}, img/s": usual.get(name, "-") for name in measured}
        row |= {"of PyTorch": usual["AtlasFlow"] / usual["PyTorch"], "goal": goal}
        row |= {"fastest steps, of PyTorch": fastest["AtlasFlow"] / fastest["PyTorch"]}
        row |= {"processor time, of PyTorch": processor["AtlasFlow"] / processor["PyTorch"]}
        rows.append(row)
    pipelines = median([pipeline() for _ in range(options.rounds)])
    rows.append(
        {**dict.fromkeys(rows[0], "-"), "network": "input pipeline", "AtlasFlow, img/s": pipelines, "goal": 20_000}
    )
    show("training", rows, as_json=options.json)


def rates(command: list[str]) -> list[float]:
    """Images a second by the median and by the fastest step, and of processor time, which a program prints last."""
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def pipeline() -> float:
    """Images a second from records on the disk to batches."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as folder:
        place = Path(folder) / "train"
        place.mkdir()
        for number in range(1, 3):
            records = random.integers(0, 256, (10_000, RECORD_BYTES), np.uint8)
            records[:, 0] %= 10
            (place / f"data_batch_{number}.bin").write_bytes(records.tobytes())
        begun = time.perf_counter()
        made = Pipeline(read_images(Path(folder), "train"), 128, Contract(32), 1, 10, crop=4, flip=True)
        done = sum(len(labels) for _, labels in made.epoch(1))
        return done / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
