"""Time and work of a network's convolutions in a training step, for `tests.bench.roofline`; prints JSON.

python -m tests.bench.programs.convolutions NETWORK BATCH PRECISION
"""

import importlib
import json
import sys

from models.training import runtime

runtime.prepare(1)

import mindspore  # noqa: E402
import numpy as np  # noqa: E402
from mindspore import nn  # noqa: E402

from models.evaluation import profile  # noqa: E402
from models.kernels import layers  # noqa: E402
from models.networks import registry  # noqa: E402
from models.spec import train_spec  # noqa: E402
from models.training import optimizers, step_profile  # noqa: E402
from models.training.step import TrainStep  # noqa: E402

name, batch, precision = sys.argv[1], int(sys.argv[2]), sys.argv[3]
spec = train_spec.with_fields(train_spec.TrainSpec(), {"network": name, "batch_size": batch})
build = importlib.import_module(registry.module_of(name)).build


def operations(network: nn.Cell) -> float:
    """Of all convolutions for one image, each multiply-add two: forward, and both gradients where they are needed."""
    work = {str(row["name"]): int(str(row["multiply_adds"])) for row in profile.layers(network, 32)}
    total, learns = 0, False  # whether anything before the layer learns, which needs the gradient of its source
    for path, cell in network.cells_and_names():
        if isinstance(cell, nn.Conv2d):
            learning = cell.weight.requires_grad
            total += 2 * work[path] * (1 + learning + learns)
            learns = learns or learning
    return total


counted = operations(build(spec))
network = build(spec)
convolutions = {path for path, cell in network.cells_and_names() if isinstance(cell, nn.Conv2d)}
optimizer = optimizers.build_optimizer(spec, network, np.full(1000, 0.001, np.float32))
layers.install(network, precision)
step = TrainStep(network, optimizer)
step.set_train(True)
random = np.random.default_rng(0)
images = mindspore.Tensor(random.standard_normal((batch, 3, 32, 32)).astype(np.float32))
labels = mindspore.Tensor(random.integers(0, 10, batch).astype(np.int32))
for _ in range(3):
    step(images, labels).asnumpy()
# The fastest execution of each: others disturbed it least.
fastest = [
    step_profile.Operator(one.name, one.starts, (min(one.milliseconds),))
    for one in step_profile.profiled(step, (images, labels))
]
times = step_profile.parts(fastest)
milliseconds = sum(times.layers[path].forward + times.layers[path].backward for path in convolutions)
whole = sum(one.mean for one in fastest)
print(json.dumps({"operations": counted * batch, "milliseconds": milliseconds, "share": milliseconds / whole}))
