"""What only Ascend does: refused on a CPU, and otherwise seen to compute the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.failures import Refusal

pytestmark = pytest.mark.mindspore

PROGRAM = """
import json, sys
import numpy as np
from models.training import runtime
runtime.prepare(1)
import mindspore
from models.training import ascend, checkpoint
from models.data.images import read_images
from models.data.pipeline import Pipeline
from models.networks import resnet
from models.training.optimizers import build_optimizer
from models.preprocess import Contract
from models.spec.recipes import from_json
from models.training.step import TrainStep
from pathlib import Path

spec = from_json('{"network": "resnet20", "width": 0.25, "learning_rate": 0.01}')
pipeline = Pipeline(read_images(Path(sys.argv[1]), "train"), 50, Contract(32), 1, 10, crop=4, flip=True)

def of(kind):
    network = resnet.build(spec)
    values = np.random.default_rng(0)
    for parameter in network.trainable_params():
        if not parameter.name.endswith((".gamma", ".beta")):
            start = 0.2 * values.standard_normal(parameter.shape)
            parameter.set_data(mindspore.Tensor(start.astype(np.float32)))
    optimizer = build_optimizer(spec, network, np.full(8, spec.learning_rate, np.float32))
    step = TrainStep(
        ascend.mixed_precision(network) if kind == "mixed" else network,
        optimizer,
        scale=1.0 if kind == "plain" else ascend.LOSS_SCALE,
    )
    step.set_train(True)
    return step

def run(step, batches):
    losses = [float(step(mindspore.Tensor(x), mindspore.Tensor(y)).asnumpy()) for x, y in batches]
    values = checkpoint.arrays(step.network.get_parameters())
    return {"losses": losses, "names": list(values), "types": sorted({str(value.dtype) for value in values.values()})}

found = {kind: run(of(kind), [*pipeline.epoch(1), *pipeline.epoch(2)]) for kind in ("plain", "scaled", "mixed")}

def queue(step, batches, sink_size):
    assert sink_size == 1
    rows = batches.create_tuple_iterator(num_epochs=1)
    found["queued"] = batches.get_dataset_size()
    return lambda: step(*next(rows))

mindspore.data_sink = queue
step = of("plain")
call = ascend.sink_step(step, pipeline, 1, 2)
found["sunk"] = {"losses": [float(call().asnumpy()) for _ in range(8)]}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, make_data: Any, run: Any) -> Any:
    folder = tmp_path_factory.mktemp("ascend")
    script = folder / "program.py"
    script.write_text(PROGRAM)
    done = run(make_data(folder / "data"), main=script)
    assert done.code == 0, done.errors
    return json.loads(done.lines[-1])


def test_a_scaled_loss_changes_no_step(found: Any) -> None:
    assert found["scaled"]["losses"] == pytest.approx(found["plain"]["losses"], rel=1e-5)


def test_mixed_precision_keeps_names_and_parameters_in_float32(found: Any) -> None:
    mixed = found["mixed"]
    assert mixed["names"] == found["plain"]["names"]
    assert mixed["types"] == ["float32"]
    assert mixed["losses"] == pytest.approx(found["plain"]["losses"], rel=0.02)
    assert mixed["losses"] != found["plain"]["losses"]


def test_a_device_s_queue_holds_the_batches_of_all_epochs_in_order(found: Any) -> None:
    """A CPU has no such queue: MindSpore's own iterator over the same data set stands in for it."""
    assert found["queued"] == 8
    assert found["sunk"]["losses"] == pytest.approx(found["plain"]["losses"], rel=1e-6)


@pytest.mark.parametrize(("values", "word"), [({"precision": "mixed"}, "float16"), ({"sink": True}, "queue")])
def test_a_cpu_refuses_what_is_for_ascend(run: Any, data: Any, tmp_path: Path, values: Any, word: str) -> None:
    refused = run("train", "--data_url", data, "--train_url", tmp_path, "--spec", json.dumps(values))
    error = refused.events("error")[0]
    assert (refused.code, error["kind"]) == (Refusal.exit_code, "refused")
    assert str(error["message"]).startswith(f"{next(iter(values))}: ")
    assert word in str(error["message"])
