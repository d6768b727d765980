"""The loss of a step and its gradient, against values worked out in float64."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.training.scoring import cross_entropy

# 300 is more than float32's exponential can hold apart: exp(-104) is 0.
LOGITS = np.array([[0.5, -1.0, 2.0], [300.0, 0.0, -7.0], [-60.0, 45.0, -62.0], [1.0, 1.0, 1.0]], np.float32)
LABELS = np.array([2, 1, 0, 1], np.int32)

PROGRAM = """
import json, sys
import numpy as np
from models.training import runtime
runtime.prepare(1)
import mindspore
from mindspore import Parameter, Tensor, nn
from models.training.step import TrainStep

class Given(nn.Cell):
    def __init__(self, logits):
        super().__init__()
        self.logits = Parameter(Tensor(np.array(logits, np.float32)), name="logits")

    def construct(self, image):
        return self.logits + image

logits, labels, mode = json.loads(sys.argv[1])
mindspore.set_context(mode=mindspore.GRAPH_MODE if mode == "graph" else mindspore.PYNATIVE_MODE)
soft = isinstance(labels[0], list)
network = Given(logits)
step = TrainStep(network, nn.SGD(network.trainable_params(), 1.0), soft=soft)
step.set_train(True)
zeros, truth = np.zeros_like(logits, np.float32), np.array(labels, np.float32 if soft else np.int32)
loss = step(Tensor(zeros), Tensor(truth)).asnumpy()
gradient = np.array(logits, np.float32) - network.logits.asnumpy()
print(json.dumps([float(loss), gradient.tolist()]))
"""


@pytest.mark.mindspore
@pytest.mark.parametrize("mode", ["graph", "pynative"])
@pytest.mark.parametrize("soft", [False, True])
def test_the_loss_of_a_sure_mistake_is_its_logarithm_and_not_infinite(
    run: Any, tmp_path: Path, soft: bool, mode: str
) -> None:
    """One image that a network is wrong about by 107 must not end a training whose mean loss is 7."""
    program = tmp_path / "loss.py"
    program.write_text(PROGRAM)
    truth = np.eye(3)[LABELS]
    labels = (0.9 * truth + 0.1 / 3) if soft else LABELS
    done = run(json.dumps([LOGITS.tolist(), labels.tolist(), mode]), main=program)
    assert done.code == 0, done.errors
    loss, gradient = json.loads(done.lines[-1])
    wide = LOGITS.astype(np.float64)
    top = wide.max(axis=1, keepdims=True)
    logarithms = wide - top - np.log(np.exp(wide - top).sum(axis=1, keepdims=True))
    chosen = labels if soft else truth
    assert loss == pytest.approx(-(chosen * logarithms).sum(axis=1).mean(), rel=1e-6)
    assert soft or loss == pytest.approx(cross_entropy(LOGITS, LABELS), rel=1e-6)
    # The difference of two parameters as large as 300 has an error of 2e-5.
    assert np.array(gradient) == pytest.approx((np.exp(logarithms) - chosen) / len(LABELS), abs=4e-5)
