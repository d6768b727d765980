"""A run that has nothing to do, against `dvc repro` with nothing to do over as many stages and bytes.

    python -m tests.bench.noop [--rounds N] [--json]

Goal: `atlasflow run` at most 0.5 of `dvc repro`, `atlasflow run --prove` (services up) at most 1.5.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from tests.bench.common import ATLASFLOW, PEERS, arguments, median, seconds, show, temporary_home

QUICK = ["--set", "train.epochs=1", "--set", "evaluate.min_accuracy=0"]


def main() -> None:
    options = arguments(__doc__, rounds=9)
    with temporary_home() as environment, tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as folder:
        run = [ATLASFLOW, "run", *QUICK]
        seconds(run, environment)
        stages = json.loads(subprocess.check_output([ATLASFLOW, "status", "--json", *QUICK[:2]], env=environment))
        dvc_pipeline(Path(folder), [sum(output["size"] for output in stage["outputs"]) for stage in stages])
        seconds(run, environment)  # the first no-op remembers its verdict
        measured: dict[str, list[float]] = {"dvc repro": [], "atlasflow run": [], "atlasflow run --prove": []}
        for _ in range(options.rounds):
            measured["dvc repro"].append(seconds([str(PEERS / "dvc"), "repro"], folder=Path(folder)))
            measured["atlasflow run"].append(seconds(run, environment))
            measured["atlasflow run --prove"].append(seconds([*run, "--prove"], environment))
            seconds(run, environment)  # proving wrote receipts, so the next verdict is judged anew, outside the clock
    peer = median(measured["dvc repro"])
    rows = [
        {"command": name, "median s": median(values), "of dvc": median(values) / peer, "rounds": len(values)}
        for name, values in measured.items()
    ]
    show("no-op run", rows, as_json=options.json)


def dvc_pipeline(folder: Path, sizes: list[int]) -> None:
    """A DVC repository with one stage a size, each copying a file of that many bytes, all up to date."""
    dvc = str(PEERS / "dvc")
    seconds(["git", "init", "--quiet", "."], folder=folder)
    seconds([dvc, "init", "--quiet"], folder=folder)
    seconds([dvc, "config", "core.analytics", "false"], folder=folder)
    lines = ["stages:"]
    for number, size in enumerate(sizes):
        (folder / f"in{number}").write_bytes(os.urandom(size))
        after = f", out{number - 1}" if number else ""
        lines += [f"  stage{number}:", f"    cmd: cp in{number} out{number}", f"    deps: [in{number}{after}]"]
        lines += [f"    outs: [out{number}]"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    seconds([dvc, "repro", "--quiet"], folder=folder)


if __name__ == "__main__":
    main()
