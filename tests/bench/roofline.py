"""How near a training comes to what this machine can do, beside PyTorch.

    python -m tests.bench.roofline [--rounds N] [--json]

The same run measures the machine: multiply-adds a second of one core and of all (programs/peak.cc, built like the
kernels), and bytes a second. "Of the peak" is what the convolutions of a step compute a second, both gradients and all
conversions of layouts included, by the fastest execution of each; the last column is their share of all operators'
time. Goals: 1.3 times PyTorch's images a second (LeNet5 1.5), and 0.7 of the peak.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from models.kernels import build
from tests.bench.common import median, show
from tests.bench.training import CHECKOUT, OURS, TORCH, rates

WORK = (
    ("lenet5", 32, "float32", 1.5),
    ("resnet20", 128, "float32", 1.3),
    ("resnet50", 32, "float32", 1.3),
    ("fast94", 256, "float32", 1.3),
    ("fast94", 256, "bfloat16", 1.3),
)
SECONDS = "2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured, in turn")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    peak = machine()
    work = [one for one in WORK if one[2] == "float32" or peak["bfloat16"]]
    rows = [row(*one, options.rounds, peak) for one in work]
    title = (
        f"training and the machine: float32 {peak['float32_one']:.0f} GFLOP/s on one core, {peak['float32']:.0f} on "
        f"{os.cpu_count()}, bfloat16 {peak['bfloat16']:.0f}, memory {peak['bandwidth']:.1f} GB/s"
    )
    show(title, rows, as_json=options.json)


def machine() -> dict[str, float]:
    """What the machine can do: GFLOP/s and GB/s."""
    source = CHECKOUT / "tests" / "bench" / "programs" / "peak.cc"
    with tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as folder:
        program = Path(folder) / "peak"
        command = ["c++", *build.OPTIMISED, str(source), "-o", str(program), "-lpthread"]
        subprocess.run(command, check=True)
        done = subprocess.run([program, str(os.cpu_count())], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def row(
    network: str, batch: int, precision: str, goal: float, rounds: int, peak: dict[str, float]
) -> dict[str, object]:
    what = [network, str(batch), "32", SECONDS, precision]
    torch, ours = [], []
    for _ in range(rounds):
        torch.append(rates([*TORCH, *what]))
        ours.append(rates([*OURS, "atlasflow", *what]))
    (usual, theirs), (processor, theirs_by_it) = (
        (median([one[i] for one in of]) for of in (ours, torch)) for i in (0, 2)
    )
    inside = convolutions(network, batch, precision)
    speed = inside["operations"] / inside["milliseconds"] / 1e6
    return {
        "network": network,
        "batch": batch,
        "precision": precision,
        "PyTorch, img/s": theirs,
        "AtlasFlow, img/s": usual,
        "of PyTorch": usual / theirs,
        "goal": goal,
        "by processor time": processor / theirs_by_it,
        "convolutions, GFLOP/s": speed,
        "of the peak": speed / peak[precision],
        "of the time": inside["share"],
    }


def convolutions(network: str, batch: int, precision: str) -> dict[str, float]:
    """Operations of a step's convolutions, their milliseconds, and their share of all operators' time."""
    command = [sys.executable, "-m", "tests.bench.programs.convolutions", network, str(batch), precision]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
