"""Training on this machine's CPU: AtlasFlow, stock MindSpore and PyTorch at the same work, in turn.

    python -m tests.bench.training [--rounds N] [--stock N] [--json]

Each measurement is a process of its own. Goal, as a share of PyTorch's images a second: lenet5 at least 0.6, resnet20
0.4, resnet50 0.45; 1.0 is what we aim for. Stock MindSpore needs a minute a step on some machines, so it has rounds of
its own (1; 0 leaves it out). Last comes the input pipeline alone, whose goal is 20,000 images a second.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from models.cifar10 import Images, Pipeline
from models.preprocess import CIFAR10
from tests.bench.common import PEERS, median, show

CHECKOUT = Path(__file__).parents[2]
WORK = (("lenet5", 32, 0.6), ("resnet20", 128, 0.4), ("resnet50", 32, 0.45))
SECONDS = "4"
OURS = [sys.executable, "-m", "tests.bench.programs.train_mindspore"]
TORCH = [str(PEERS / "python"), str(CHECKOUT / "tests" / "bench" / "programs" / "train_torch.py")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured, in turn")
    parser.add_argument("--stock", type=int, default=1, help="in how many of them stock MindSpore is measured too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows = []
    for network, batch, goal in WORK:
        what = [network, str(batch), SECONDS]
        measured: dict[str, list[float]] = {"AtlasFlow": [], "without kernels": [], "PyTorch": [], "stock": []}
        for turn in range(options.rounds):
            measured["PyTorch"].append(rate([*TORCH, *what]))
            measured["AtlasFlow"].append(rate([*OURS, "atlasflow", *what]))
            measured["without kernels"].append(rate([*OURS, "settings", *what]))
            if turn < options.stock:
                measured["stock"].append(rate([*OURS, "stock", *what]))
        peer = median(measured["PyTorch"])
        row: dict[str, object] = {"network": network, "batch": batch}
        row |= {f"{name}, img/s": median(rates) if rates else "-" for name, rates in measured.items()}
        row |= {"of PyTorch": median(measured["AtlasFlow"]) / peer, "goal": goal}
        rows.append(row)
    show("training", rows, as_json=options.json)
    if not options.json:
        print(f"input pipeline alone: {median([pipeline() for _ in range(options.rounds)]):,.0f} images/s")


def rate(command: list[str]) -> float:
    """The last line that a program prints."""
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return float(done.stdout.splitlines()[-1])


def pipeline() -> float:
    """Images a second of crop, flip, normalise and batch."""
    random = np.random.default_rng(0)
    count = 20_000
    pixels = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
    made = Pipeline(Images(pixels, np.zeros(count, np.int32), ""), 128, 32, CIFAR10, seed=1, crop=4, flip=True)
    begun = time.perf_counter()
    done = sum(len(labels) for _, labels in made.epoch(1))
    return done / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
