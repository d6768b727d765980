"""What a step of training computes, held against numpy."""

import json

import pytest

pytestmark = pytest.mark.mindspore

PROGRAM = """
import json, sys
import numpy as np
from models import runtime
runtime.prepare(1)
import mindspore
from mindspore import nn
from models import parameters
from models.optimizers import build_optimizer
from models.spec import from_json
from models.step import TrainStep

class Linear(nn.Cell):
    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(4, 3, weight_init="normal", bias_init="ones")

    def construct(self, x):
        return self.dense(x)

spec = from_json(sys.argv[1])
random = np.random.default_rng(0)
images = random.standard_normal((5, 8, 4)).astype(np.float32)
labels = random.integers(0, 3, (5, 8)).astype(np.int32)
if sys.argv[2] == "soft":
    labels = np.eye(3, dtype=np.float32)[labels]
network = Linear()
start = parameters.arrays(network.get_parameters())
step = TrainStep(network, build_optimizer(spec, network, np.full(5, spec.learning_rate, np.float32)),
                 soft=sys.argv[2] == "soft", ema=spec.ema)
step.set_train(True)
losses = [float(step(mindspore.Tensor(x), mindspore.Tensor(y)).asnumpy()) for x, y in zip(images, labels)]
result = {"losses": losses, "start": {k: v.tolist() for k, v in start.items()},
          "end": {k: v.tolist() for k, v in parameters.arrays(network.get_parameters()).items()},
          "images": images.tolist(), "labels": labels.tolist()}
if spec.ema:
    result["means"] = {k: v.tolist() for k, v in parameters.arrays(step.means).items()}
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory, run):
    script = tmp_path_factory.mktemp("program") / "steps.py"
    script.write_text(PROGRAM)

    def runner(labels="hard", **spec):
        done = run(json.dumps({"learning_rate": 0.1, **spec}), labels, main=script)
        assert done.code == 0, done.errors
        return json.loads(done.lines[-1])

    return runner


def expected(found, *, decay_weight=0.0, decay_bias=0.0, nesterov=False, ema=0.0):
    """Five steps of Momentum 0.9 on a softmax regression."""
    import numpy as np

    weight, bias = np.array(found["start"]["dense.weight"]), np.array(found["start"]["dense.bias"])
    values = [weight, bias]
    speeds = [np.zeros_like(weight), np.zeros_like(bias)]
    means = [weight.copy(), bias.copy()]
    losses = []
    for images, labels in zip(np.array(found["images"]), found["labels"], strict=True):
        hot = np.eye(3)[labels] if np.ndim(labels) == 1 else np.array(labels)
        logits = images @ values[0].T + values[1]
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        losses.append(-np.mean(np.sum(hot * np.log(share), axis=1)))
        error = (share - hot) / len(images)
        gradients = [error.T @ images + decay_weight * values[0], error.sum(axis=0) + decay_bias * values[1]]
        for index, gradient in enumerate(gradients):
            speeds[index] = 0.9 * speeds[index] + gradient
            change = gradient + 0.9 * speeds[index] if nesterov else speeds[index]
            values[index] = values[index] - 0.1 * change
            means[index] = ema * means[index] + (1 - ema) * values[index]
    return losses, values, means


def compare(found, losses, values):
    import numpy as np

    assert found["losses"] == pytest.approx(losses, rel=1e-5)
    np.testing.assert_allclose(found["end"]["dense.weight"], values[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["end"]["dense.bias"], values[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_momentum(steps, labels):
    found = steps(labels)
    losses, values, _ = expected(found)
    compare(found, losses, values)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_nesterov(steps, decay):
    found = steps(nesterov=True, weight_decay=decay, decay_all=False)
    losses, values, _ = expected(found, nesterov=True, decay_weight=decay)
    compare(found, losses, values)


@pytest.mark.parametrize("everything", [True, False])
def test_weight_decay_spares_biases_when_asked(steps, everything):
    found = steps(weight_decay=0.1, decay_all=everything)
    losses, values, _ = expected(found, decay_weight=0.1, decay_bias=0.1 if everything else 0.0)
    compare(found, losses, values)


def test_running_means_follow_the_updated_parameters(steps):
    import numpy as np

    found = steps(ema=0.8)
    losses, values, means = expected(found, ema=0.8)
    compare(found, losses, values)
    np.testing.assert_allclose(found["means"]["mean.dense.weight"], means[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["means"]["mean.dense.bias"], means[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_other_optimizers_lower_the_loss(steps, optimizer):
    found = steps(optimizer=optimizer, learning_rate=0.05)
    assert found["end"] != found["start"]
    assert all(abs(loss) < 10 for loss in found["losses"])


ALL = {
    "epochs": 2,
    "batch_size": 20,
    "learning_rate": 0.02,
    "ema": 0.9,
    "mixup": 0.2,
    "cutout": 6,
    "label_smoothing": 0.1,
    "weight_decay": 1e-4,
    "decay_all": False,
    "schedule": "one-cycle",
}


def train(run, data, folder, spec):
    done = run("train", "--data_url", data, "--train_url", folder, "--spec", json.dumps(spec))
    assert done.code == 0, done.errors
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("network", ["lenet5", "resnet20"])
def test_with_everything_on_it_resumes_and_evaluates_to_the_same(run, kill_training, data, tmp_path, network):
    spec = {**ALL, "network": network, "width": 0.25 if network == "resnet20" else 1.0}
    whole = train(run, data, tmp_path / "whole", spec)
    kill_training(data, tmp_path / "cut", json.dumps(spec))
    assert train(run, data, tmp_path / "cut", spec) == whole
    common = ("--data_url", data, "--spec", json.dumps(spec), "--output", tmp_path / "evaluated")
    checkpoint = ("--checkpoint", tmp_path / "cut" / "checkpoint.ckpt")
    done = run("evaluate", *common, *checkpoint)
    assert done.code == 0, done.errors
    exported = run("export", *common, *checkpoint, "--format", "onnx")
    assert exported.code == 0, exported.errors
    assert json.loads((tmp_path / "evaluated" / "check.json").read_text())["max_difference"] < 1e-4
    metrics = json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    assert metrics["accuracy"] == whole["accuracy"]
    assert metrics["loss"] == pytest.approx(whole["evaluation_loss"])


def test_lamb_is_refused_on_a_cpu(run, data, tmp_path):
    refused = run("train", "--data_url", data, "--train_url", tmp_path, "--spec", '{"optimizer": "lamb"}')
    assert refused.code == 4
    assert "LAMB" in str(refused.events("error")[0]["message"])
