"""Labels for the pictures of which a model is least sure, against as many for pictures at random.

    python -m tests.bench.labels [--rounds N] [--json]

A model learns eight classes of CIFAR-10 from 100 pictures each, and two of them, held out, from 10. From the other
pictures of the sample, 300 get a label: those with the smallest margin between the two best classes, as boards keep
them, or 300 at random. Goal: the former give at least two points more on the test pictures of the held-out classes.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from infra.home import CHECKOUT
from models.preprocess import softmax
from models.spec.recipes import resolve, to_json
from tasks.stages.download import SAMPLE
from tests.bench.common import arguments, median, show

HELD_OUT = (3, 5)  # cat and dog, which are taken for each other most
FEW, MANY, LABELS = 10, 100, 300
RECORD = 3073
FIELDS = {"epochs": 12, "batch_size": 32, "evaluate_every": 12}

Records = np.ndarray[Any, np.dtype[np.uint8]]


def main() -> None:
    options = arguments(__doc__, rounds=3)
    train, test = records("data_batch"), records("test_batch")
    found: dict[str, list[dict[str, float]]] = {"before": [], "at random": [], "least sure": []}
    for seed in range(1, options.rounds + 1):
        chance = np.random.default_rng(seed)
        first, pool = parted(train, chance)
        logits, before = trained(first, pool, test, seed)
        sure = np.sort(softmax(logits), axis=1)
        unsure = np.argsort(sure[:, -1] - sure[:, -2])[:LABELS]
        chosen = {"at random": chance.choice(len(pool), LABELS, replace=False), "least sure": unsure}
        found["before"].append(before)
        for name, places in chosen.items():
            found[name].append(trained(np.concatenate([first, pool[places]]), pool[:1], test, seed)[1])
    rows = [
        {
            "labelled": name,
            "held-out classes %": median([item["held out"] for item in scores]) * 100,
            "all classes %": median([item["all"] for item in scores]) * 100,
            "rounds": len(scores),
        }
        for name, scores in found.items()
    ]
    show("accuracy after 300 more labels", rows, as_json=options.json)


def records(prefix: str) -> Records:
    """The sample's records, uint8 [n, 3073]: the label, then the pixels."""
    with tarfile.open(SAMPLE) as archive:
        names = sorted(name for name in archive.getnames() if Path(name).name.startswith(prefix))
        parts = [cast(IO[bytes], archive.extractfile(name)).read() for name in names]
    return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, RECORD)


def parted(train: Records, chance: np.random.Generator) -> tuple[Records, Records]:
    """The pictures that are labelled at first, and the others."""
    order = chance.permutation(len(train))
    labels = train[order, 0]
    first = [order[labels == number][: FEW if number in HELD_OUT else MANY] for number in range(10)]
    chosen = np.concatenate(first)
    return train[chosen], np.delete(train, chosen, axis=0)


def trained(train: Records, pool: Records, test: Records, seed: int) -> tuple[np.ndarray[Any, Any], dict[str, float]]:
    """Train; returns the logits of the pool, float32 [n, 10], and the accuracies on the test pictures."""
    spec = to_json(resolve("quick", {**FIELDS, "seed": seed}))
    with tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as name:
        folder = Path(name)
        for part, images in (("data", test), ("pool", pool)):
            tree(folder / part, train, images)
        program("train", "--data_url", folder / "data", "--train_url", folder / "out", "--spec", spec)
        answers = {}
        for part in ("data", "pool"):
            output = folder / f"{part}-answers"
            checkpoint = folder / "out" / "checkpoint.ckpt"
            program(
                "evaluate", "--data_url", folder / part, "--checkpoint", checkpoint, "--output", output, "--spec", spec
            )
            with np.load(output / "predictions.npz") as file:
                answers[part] = file["logits"]
    right = answers["data"].argmax(axis=1) == test[:, 0]
    held_out = np.isin(test[:, 0], HELD_OUT)
    return answers["pool"], {"held out": float(right[held_out].mean()), "all": float(right.mean())}


def tree(folder: Path, train: Records, test: Records) -> None:
    """Write CIFAR-10's files; the training pictures are dealt to the five."""
    for number in range(5):
        path = folder / "train" / f"data_batch_{number + 1}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(train[number::5].tobytes())
    (folder / "eval").mkdir(exist_ok=True)
    (folder / "eval" / "test_batch.bin").write_bytes(test.tobytes())
    (folder / "batches.meta.txt").write_text("".join(f"{number}\n" for number in range(10)))


def program(*words: object) -> None:
    command = [sys.executable, str(CHECKOUT / "models" / "main.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
