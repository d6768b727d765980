"""Two processes that share every batch, started as on a cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.models.calls import msrun

pytestmark = [pytest.mark.mindspore, pytest.mark.slow]


def losses(folder: Any) -> Any:
    return [json.loads(line)["loss"] for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_two_processes_train_as_one_with_the_whole_batch(
    run: Any, make_data: Any, tmp_path: Path, mixup: float
) -> None:
    data = make_data(tmp_path / "data")
    more = {"cutout": 4, "label_smoothing": 0.1, "mixup": mixup}
    spec = json.dumps({"epochs": 2, "batch_size": 20, "learning_rate": 0.02, **more})
    arguments = ("train", "--data_url", data, "--spec", spec, "--train_url")
    assert run(*arguments, tmp_path / "one").code == 0
    done = msrun(tmp_path / "logs", *arguments, tmp_path / "two")
    assert done.returncode == 0, done.stdout + done.stderr
    # Sums in another order: the difference grows from 1e-7 a step.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    events = [line for line in done.stdout.splitlines() if line.startswith("@atlasflow")]
    assert len(events) == 2  # one of the two speaks


# One process that does what two devices do: each half of a batch goes through a network of its own, which normalises
# it by its own mean and variance; both are changed by the mean of the gradients. Prints the loss of each epoch.
HALVES = """
import json, sys
from pathlib import Path
from models.training import runtime
spec_text, data = sys.argv[1], Path(sys.argv[2])
from models.spec.recipes import from_json
spec = from_json(spec_text)
runtime.prepare(spec.seed)
import mindspore
import numpy as np
from models.training import checkpoint, session
from models.data.images import read_contract, read_images
from models.networks.resnet import build
from models.training.optimizers import build_optimizer
from models.training.schedules import learning_rates
from models.training.step import TrainStep
images = read_images(data, "train")
pipelines = [session.training_pipeline(spec, images, read_contract(data, spec), rank, 2) for rank in (0, 1)]
rates = learning_rates(spec, pipelines[0].steps)
networks = [build(spec), build(spec)]
checkpoint.assign(networks[1].get_parameters(), checkpoint.arrays(networks[0].get_parameters()), data)
steps = [TrainStep(network, build_optimizer(spec, network, rates)) for network in networks]
for step in steps:
    step.set_train(True)
for epoch in range(1, spec.epochs + 1):
    losses = []
    for halves in zip(*(pipeline.epoch(epoch) for pipeline in pipelines), strict=True):
        found = [step.gradients(*map(mindspore.Tensor, half)) for step, half in zip(steps, halves, strict=True)]
        losses.append(np.mean([float(loss.asnumpy()) for loss, _ in found]))
        mean = tuple((one + other) / 2 for one, other in zip(found[0][1], found[1][1], strict=True))
        for step in steps:
            step.optimizer(mean)
    print(json.dumps(float(np.mean(losses))))
"""


def test_each_device_normalises_by_its_own_share_of_a_batch(run: Any, make_data: Any, tmp_path: Path) -> None:
    """Which is not what one process with the whole batch does: a batch of 40 has other statistics than its halves."""
    data = make_data(tmp_path / "data")
    values = {"network": "resnet20", "width": 0.5, "epochs": 2, "batch_size": 40, "learning_rate": 0.02}
    spec = json.dumps(values)
    done = msrun(tmp_path / "logs", "train", "--data_url", data, "--spec", spec, "--train_url", tmp_path / "two")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "halves.py").write_text(HALVES)
    halves = run(spec, data, main=tmp_path / "halves.py")
    assert halves.code == 0, halves.errors
    assert losses(tmp_path / "two") == pytest.approx([float(line) for line in halves.lines[-2:]], rel=1e-3)


# What the processes of a training find when there are two devices; starting two would tell nothing more.
OF_TWO = """
import sys
from models.training import runtime
runtime.ranks = lambda: (0, 2)
from models import main
sys.exit(main.main())
"""


def test_a_batch_that_cannot_be_shared_is_refused(run: Any, make_data: Any, tmp_path: Path) -> None:
    data, program = make_data(tmp_path / "data"), tmp_path / "program.py"
    program.write_text(OF_TWO)
    arguments = ("--data_url", data, "--train_url", tmp_path / "out", "--spec", '{"epochs": 1, "batch_size": 25}')
    done = run("train", *arguments, main=program)
    (error,) = done.events("error")
    assert done.code == 2
    assert error["message"] == "batch_size: 25 cannot be divided among 2 devices"
