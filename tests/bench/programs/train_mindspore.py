"""Steps of a training in a process of its own, for `tests.bench.training`; prints images a second, by the median
and by the fastest step, and images a second of processor time.

python -m tests.bench.programs.train_mindspore {atlasflow|settings|stock} NETWORK BATCH SIZE SECONDS [PRECISION]
`settings` is AtlasFlow without its compiled kernels, `stock` MindSpore without AtlasFlow's settings either.
"""

import importlib
import os
import statistics
import sys
import time

from models.kernels import build
from models.spec import train_spec
from models.training import runtime

how, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[5])
batch, size = int(sys.argv[3]), int(sys.argv[4])
precision = sys.argv[6] if len(sys.argv) > 6 else "float32"
if how != "atlasflow":
    os.environ[build.SWITCH] = "off"
if how == "stock":
    import mindspore

    mindspore.set_device("CPU")
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
else:
    runtime.prepare(1)
    import mindspore

import numpy as np  # noqa: E402

from models.kernels import layers  # noqa: E402
from models.networks import registry  # noqa: E402
from models.training import optimizers  # noqa: E402
from models.training.step import TrainStep  # noqa: E402

wanted = train_spec.with_fields(train_spec.TrainSpec(), {"network": name, "batch_size": batch, "image_size": size})
network = importlib.import_module(registry.module_of(name)).build(wanted)
optimizer = optimizers.build_optimizer(wanted, network, np.full(100_000, 0.01, np.float32))
used = how == "atlasflow" and layers.install(network, precision) > 0
step = TrainStep(network, optimizer)
step.set_train(True)
random = np.random.default_rng(0)
images = random.standard_normal((batch, 3, size, size)).astype(np.float32)
labels = random.integers(0, 10, batch).astype(np.int32)


def timed() -> float:
    begun = time.perf_counter()
    step(mindspore.Tensor(images), mindspore.Tensor(labels)).asnumpy()
    return time.perf_counter() - begun


with runtime.layout(used or how == "stock") as cores:
    timed()  # compiles
    for _ in range({"atlasflow": 2, "settings": 22, "stock": 0}[how]):
        cores.on_step(timed())
    times: list[float] = []
    processor = time.process_time()
    while len(times) < (3 if how != "stock" else 1) or sum(times) < seconds:
        times.append(timed())
    processor = time.process_time() - processor
print(batch / statistics.median(times), batch / min(times), batch * len(times) / processor)
