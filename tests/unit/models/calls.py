"""How tests call the boot file."""

import json
from pathlib import Path

MAIN = Path(__file__).parents[3] / "models" / "main.py"


SPEC = json.dumps({"epochs": 3, "batch_size": 20, "learning_rate": 0.02})


def train(run, data, folder, spec=SPEC, **options):
    return run("train", "--data_url", data, "--train_url", folder, "--spec", spec, **options)


def result(folder):
    return json.loads((folder / "result.json").read_text())


def evaluate(run, data, checkpoint, output):
    return run("evaluate", "--data_url", data, "--checkpoint", checkpoint, "--spec", SPEC, "--output", output)
