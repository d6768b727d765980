"""What a step of training computes, held against numpy."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.mindspore

PROGRAM = """
import json, sys
import numpy as np
from models.training import runtime
runtime.prepare(1)
import mindspore
from mindspore import nn
from models.training import checkpoint
from models.training.optimizers import build_optimizer
from models.spec.recipes import from_json
from models.training.step import TrainStep

class Linear(nn.Cell):
    def __init__(self, normalised):
        super().__init__()
        self.dense = nn.Dense(4, 3, weight_init="normal", bias_init="ones")
        self.norm = nn.BatchNorm1d(3) if normalised else None

    def construct(self, x):
        x = self.dense(x)
        return x if self.norm is None else self.norm(x)

def steps(labels_are, layer, values):
    spec = from_json(json.dumps(values))
    random = np.random.default_rng(0)
    images = random.standard_normal((5, 8, 4)).astype(np.float32)
    labels = random.integers(0, 3, (5, 8)).astype(np.int32)
    if labels_are == "soft":
        labels = np.eye(3, dtype=np.float32)[labels]
    network = Linear(layer == "normalised")
    start = checkpoint.arrays(network.get_parameters())
    step = TrainStep(network, build_optimizer(spec, network, np.full(5, spec.learning_rate, np.float32)),
                     soft=labels_are == "soft", ema=spec.ema)
    step.set_train(True)
    losses = [float(step(mindspore.Tensor(x), mindspore.Tensor(y)).asnumpy()) for x, y in zip(images, labels)]
    result = {"losses": losses, "start": {k: v.tolist() for k, v in start.items()},
              "end": {k: v.tolist() for k, v in checkpoint.arrays(network.get_parameters()).items()},
              "images": images.tolist(), "labels": labels.tolist()}
    if spec.ema:
        result["means"] = {k: v.tolist() for k, v in checkpoint.arrays(step.means).items()}
    return result

print(json.dumps([steps(*case) for case in json.loads(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def all_steps(tmp_path_factory: pytest.TempPathFactory, run: Any) -> Any:
    """Five steps of each specification, all in one process."""
    script = tmp_path_factory.mktemp("program") / "steps.py"
    script.write_text(PROGRAM)

    def runner(*specs: Any, labels: str = "hard", layer: str = "plain") -> Any:
        cases = [(labels, layer, {"learning_rate": 0.1, **spec}) for spec in specs]
        done = run(json.dumps(cases), main=script)
        assert done.code == 0, done.errors
        return json.loads(done.lines[-1])

    return runner


@pytest.fixture(scope="module")
def steps(all_steps: Any) -> Any:
    return lambda labels="hard", **spec: all_steps(spec, labels=labels)[0]


WEIGHT, BIAS, GAMMA, BETA = NAMES = ("dense.weight", "dense.bias", "norm.gamma", "norm.beta")


def gradients(values: Any, images: Any, labels: Any) -> Any:
    """Loss and gradients of a softmax regression, with batch normalisation before the softmax when there is a gamma."""
    hot = np.eye(3)[labels] if np.ndim(labels) == 1 else np.array(labels)
    logits = images @ values[WEIGHT].T + values[BIAS]
    if GAMMA in values:
        deviation = np.sqrt(logits.var(axis=0) + 1e-5)
        plain = (logits - logits.mean(axis=0)) / deviation
        logits = values[GAMMA] * plain + values[BETA]
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    loss = -np.mean(np.sum(hot * np.log(share), axis=1))
    error = (share - hot) / len(images)
    found = {}
    if GAMMA in values:
        found = {GAMMA: (error * plain).sum(axis=0), BETA: error.sum(axis=0)}
        error = error * values[GAMMA]
        error = (error - error.mean(axis=0) - plain * (error * plain).mean(axis=0)) / deviation
    return loss, {WEIGHT: error.T @ images, BIAS: error.sum(axis=0), **found}


def momentum(value: Any, gradient: Any, state: Any, decay: Any, rate: Any, *, nesterov: bool = False) -> Any:
    gradient = gradient + decay * value
    state["speed"] = 0.9 * state.get("speed", 0.0) + gradient
    return value - rate * (gradient + 0.9 * state["speed"] if nesterov else state["speed"])


def sgd(value: Any, gradient: Any, _state: Any, decay: Any, rate: Any) -> Any:
    return value - rate * (gradient + decay * value)


def moments(gradient: Any, state: Any) -> Any:
    state["first"] = 0.9 * state.get("first", 0.0) + 0.1 * gradient
    state["second"] = 0.999 * state.get("second", 0.0) + 0.001 * gradient**2
    state["step"] = state.get("step", 0) + 1
    return state["first"], np.sqrt(state["second"]), state["step"]


def adam(value: Any, gradient: Any, state: Any, decay: Any, rate: Any) -> Any:
    """D. Kingma and J. Ba 2014, end of §2, with the L2 penalty in the gradient."""
    first, root, step = moments(gradient + decay * value, state)
    return value - rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * first / (root + 1e-8)


def adamw(value: Any, gradient: Any, state: Any, decay: Any, rate: Any) -> Any:
    """I. Loshchilov and F. Hutter 2017, without the correction of the first steps' bias, as MindSpore has it."""
    first, root, _ = moments(gradient, state)
    return value - rate * (first / (root + 1e-6) + decay * value)


def expected(
    found: Any, rule: Any = momentum, *, decay: float = 0.0, spared: Any = (), ema: float = 0.0, rate: float = 0.1
) -> Any:
    """Five steps by a rule: the losses, the parameters in the end, and their running means."""
    values = {name: np.array(found["start"][name]) for name in NAMES if name in found["start"]}
    means = dict(values)
    states: dict[str, dict[str, Any]] = {name: {} for name in values}
    losses = []
    for images, labels in zip(np.array(found["images"]), found["labels"], strict=True):
        loss, slopes = gradients(values, images, labels)
        losses.append(loss)
        for name, slope in slopes.items():
            values[name] = rule(values[name], slope, states[name], 0.0 if name in spared else decay, rate)
            means[name] = ema * means[name] + (1 - ema) * values[name]
    return losses, values, means


def compare(found: Any, losses: Any, values: Any) -> None:
    assert found["losses"] == pytest.approx(losses, rel=1e-5)
    for name, value in values.items():
        np.testing.assert_allclose(found["end"][name], value, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_momentum(steps: Any, labels: str) -> None:
    found = steps(labels)
    losses, values, _ = expected(found)
    compare(found, losses, values)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_nesterov(steps: Any, decay: float) -> None:
    found = steps(nesterov=True, weight_decay=decay, decay_all=False)
    rule = functools.partial(momentum, nesterov=True)
    losses, values, _ = expected(found, rule, decay=decay, spared=(BIAS,))
    compare(found, losses, values)


@pytest.mark.parametrize("everything", [True, False])
def test_weight_decay_spares_biases_when_asked(steps: Any, everything: bool) -> None:
    found = steps(weight_decay=0.1, decay_all=everything)
    losses, values, _ = expected(found, decay=0.1, spared=() if everything else (BIAS,))
    compare(found, losses, values)


RULES = {"momentum": momentum, "sgd": sgd, "adam": adam, "adamw": adamw}


@pytest.mark.parametrize("everything", [True, False])
def test_weight_decay_spares_normalisation_when_asked(all_steps: Any, everything: bool) -> None:
    """The bias before a normalisation has no gradient but rounding, which Adam blows up; so it is left out there."""
    specs = [{"optimizer": name, "weight_decay": 0.1, "decay_all": everything} for name in RULES]
    for found, (name, rule) in zip(all_steps(*specs, layer="normalised"), RULES.items(), strict=True):
        losses, values, _ = expected(found, rule, decay=0.1, spared=() if everything else (BIAS, GAMMA, BETA))
        if name.startswith("adam"):
            del values[BIAS]
        compare(found, losses, values)


def test_running_means_follow_the_updated_parameters(steps: Any) -> None:
    found = steps(ema=0.8)
    losses, values, means = expected(found, ema=0.8)
    compare(found, losses, values)
    for name in (WEIGHT, BIAS):
        np.testing.assert_allclose(found["means"][f"mean.{name}"], means[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_other_optimizers(all_steps: Any, decay: float) -> None:
    others = {name: rule for name, rule in RULES.items() if name != "momentum"}
    specs = [{"optimizer": name, "learning_rate": 0.05, "weight_decay": decay} for name in others]
    for found, rule in zip(all_steps(*specs), others.values(), strict=True):
        losses, values, _ = expected(found, rule, decay=decay, rate=0.05)
        compare(found, losses, values)


# An epoch of given losses over a network with given weights. Prints the row, or what was raised, of each case.
EPOCH = """
import json, sys
from types import SimpleNamespace
from models.training import runtime
runtime.prepare(1)
import numpy as np
from mindspore import Tensor, nn
from models.training import loop
from models.failures import InputError
from models.spec.recipes import TrainSpec
found = []
for losses, weight, epoch in json.loads(sys.argv[1]):
    network = nn.Dense(2, 1, weight_init=Tensor(np.array([[0.5, weight]], np.float32)))
    step = SimpleNamespace(network=network)
    run = SimpleNamespace(spec=TrainSpec(batch_size=8), step=step, set_train=lambda: None)
    try:
        row, steps = loop._train_epoch(run, epoch, runtime.Layout(False), iter(losses))
        found.append([row["loss"], steps])
    except InputError as error:
        found.append([error.message, error.hint])
print(json.dumps(found))
"""


def test_divergence_is_detected_in_losses_and_parameters(run: Any, tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    good = [40.0, 40.0, 58.1]  # 20 times the loss of guessing is 46.05; the mean is just below
    cases = {
        "epoch 3: the loss has grown to 46.1; checkpoint.ckpt is from epoch 2": ([40.0, 40.0, 58.3], 0.1, 3),
        "epoch 2: the loss of step 2 is nan; checkpoint.ckpt is from epoch 1": ([2.0, nan], 0.1, 2),
        "epoch 1: the loss of step 1 is inf; no epoch is complete": ([inf], 0.1, 1),
        "epoch 1: weight has NaN or infinite values; no epoch is complete": ([2.0], nan, 1),
        "epoch 2: weight has NaN or infinite values; checkpoint.ckpt is from epoch 1": ([2.0], -inf, 2),
    }
    script = tmp_path / "epoch.py"
    script.write_text(EPOCH)
    done = run(json.dumps([(good, 0.1, 3), *cases.values()]), main=script)
    assert done.code == 0, done.errors
    row, *raised = json.loads(done.lines[-1])
    assert row == [pytest.approx(sum(good) / 3), good]
    assert raised == [[message, "use a learning_rate below 0.01, or a warm-up"] for message in cases]


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
SLOW_COPY = {
    "ema": 0.0,
    "lookahead": 4,
    "schedule": "triangle",
    "bias_rate": 8.0,
    "crop_border": "mirrored",
    "flip_in_turn": True,
}
VARIED: dict[str, dict[str, object]] = {
    "lenet5": {},
    "resnet20": {"width": 0.25},
    "fast94": {"width": 0.125, **SLOW_COPY},
}


def train(run: Any, data: Any, folder: Any, spec: Any) -> Any:
    done = run("train", "--data_url", data, "--train_url", folder, "--spec", json.dumps(spec))
    assert done.code == 0, done.errors
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("network", VARIED)
def test_with_everything_on_it_resumes_and_evaluates_to_the_same(
    run: Any, kill_training: Any, data: Any, tmp_path: Path, network: str
) -> None:
    spec = {**ALL, "network": network, **VARIED[network]}
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


def test_lamb_is_refused_on_a_cpu(run: Any, data: Any, tmp_path: Path) -> None:
    refused = run("train", "--data_url", data, "--train_url", tmp_path, "--spec", '{"optimizer": "lamb"}')
    assert refused.code == 4
    assert "LAMB" in str(refused.events("error")[0]["message"])
