"""Run by test_fast.py in a process of its own: what its tests compare."""

import json

from models.training import runtime

runtime.prepare(1)

import mindspore  # noqa: E402
import numpy as np  # noqa: E402
from mindspore import Parameter, ParameterTuple, Tensor  # noqa: E402

from models.networks.fast import Fast, whitening_weights  # noqa: E402
from models.spec.recipes import resolve  # noqa: E402
from models.training.lookahead import Lookahead  # noqa: E402
from models.training.optimizers import build_optimizer  # noqa: E402


def shape(size: int, classes: int = 10, width: float = 1.0) -> list[int]:
    network = Fast(classes, size, width)
    network.set_train(False)
    return list(network(Tensor(np.zeros((2, 3, size, size), np.float32))).shape)


def identity(network: Fast) -> float:
    """Largest difference between the first outputs of a fresh convolution and its inputs."""
    x = np.random.default_rng(1).standard_normal((2, 24, 6, 6)).astype(np.float32)
    y = network.units[0].conv(Tensor(x)).asnumpy()
    return float(np.abs(y[:, :24] - x).max())


def whitened() -> tuple[float, float]:
    random = np.random.default_rng(2)
    images = np.cumsum(random.standard_normal((40, 3, 12, 12)), axis=3).astype(np.float32)
    filters = whitening_weights(images)
    patches = np.stack(
        [images[:, :, i : i + 2, j : j + 2].reshape(40, 12) for i in range(11) for j in range(11)], axis=1
    ).reshape(-1, 12)
    results = patches @ filters[:12].reshape(12, 12).T
    moments = results.T.astype(np.float64) @ results / len(results)
    return float(np.abs(moments - np.eye(12)).max()), float(np.abs(filters[:12] + filters[12:]).max())


def lookahead() -> list[list[float]]:
    value, copy = (Parameter(Tensor([0.0], mindspore.float32), name=name) for name in ("value", "copy"))
    slow = Lookahead(ParameterTuple([value]), ParameterTuple([copy]), 2, 6)
    seen = []
    for step in range(1, 7):
        value.set_data(Tensor(value.asnumpy() + 1))
        slow.on_step(step)
        seen.append([float(value.asnumpy()[0]), float(copy.asnumpy()[0])])
    return seen


def groups(network: Fast) -> dict[str, list[float]]:
    spec = resolve("fast94", {"learning_rate": 0.1, "weight_decay": 0.01})
    optimizer = build_optimizer(spec, network, np.full(3, 0.1, np.float32))
    found = {}
    for parameter, rate, decay in zip(
        optimizer.group_params, optimizer.learning_rate, optimizer.weight_decay, strict=True
    ):
        kind = "beta" if parameter.name.endswith("beta") else "others"
        found[kind] = [float(rate.learning_rate.asnumpy()[0]), float(decay)]
    return found


network = Fast()
one, opposites = whitened()
print(
    json.dumps(
        {
            "trainable": sum(parameter.size for parameter in network.trainable_params()),
            "identity": identity(network),
            "shapes": {"16": shape(16), "32": shape(32), "47": shape(47), "32, half as wide": shape(32, 4, 0.5)},
            "whitened": one,
            "opposites": opposites,
            "lookahead": lookahead(),
            "groups": groups(network),
        }
    )
)
