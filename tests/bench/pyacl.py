"""What the stand-in pyACL costs over ONNX Runtime, which infers in it: the same networks, the same images.

    python -m tests.bench.pyacl [--rounds N] [--json]

`plain` is a session's `run` on the ONNX file, with one thread as in the stand-in; `execute` is `acl.mdl.execute`
alone; `whole` is what a program does for a picture: copy in, execute, copy out. Goal: `whole` at most 1.5 of `plain`
for ResNet-like networks; for tiny ones the calls themselves count.
"""

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infra.atc.emulator.compiler import compile_model
from infra.atc.emulator.om import write_om
from tests import boards
from tests.bench.common import arguments, median, show
from tests.unit.infra.atc.emulator.networks import lenet, model_of

WINDOW = 0.2  # processor seconds of one measurement


def main() -> None:
    options = arguments(__doc__, rounds=9)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.path.insert(0, str(boards.ACL))
    acl = importlib.import_module("acl")
    succeed(acl.init())
    succeed(acl.rt.set_device(0))
    networks = [("LeNet5, batch 1", lenet(1)), ("LeNet5, batch 32", lenet(32)), ("8 × 64 planes, batch 1", deep(1))]
    rows: list[dict[str, object]] = []
    for mode in ("device", "host"):
        os.environ["ATLASFLOW_ACL_RUN_MODE"] = mode
        for name, network in networks:
            measured = measure(acl, network, options.rounds)
            plain = median(measured["plain"])
            times = {f"{key} µs": median(values) * 1e6 for key, values in measured.items()}
            ratios = {f"{key} of plain": median(measured[key]) / plain for key in ("execute", "whole")}
            rows.append({"network": name, "mode": mode, **times, **ratios, "rounds": options.rounds})
    show("inference through the stand-in pyACL", rows, as_json=options.json)


def deep(batch: int) -> onnx.ModelProto:
    """Eight convolutions of 64 planes at 32×32, about 0.3 G multiplications: the size of a CIFAR ResNet's body."""
    random = np.random.default_rng(0)
    nodes, weights, last = [], [], "image"
    for index in range(8):
        shape = (64, 3 if index == 0 else 64, 3, 3)
        weights.append(numpy_helper.from_array(random.normal(0, 0.05, shape).astype(np.float32), f"w{index}"))
        nodes.append(helper.make_node("Conv", [last, f"w{index}"], [f"c{index}"], name=f"c{index}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"], name=f"r{index}"))
        last = f"r{index}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["mean"], name="mean"))
    nodes.append(helper.make_node("Flatten", ["mean"], ["logits"], name="flat"))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 32, 32])
    return model_of(nodes, [image], [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 64])], weights)


def measure(acl: Any, network: onnx.ModelProto, rounds: int) -> dict[str, list[float]]:
    """Seconds of one inference in each way, `rounds` times in turn; the answers must be the same."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    dims = [size.dim_value for size in network.graph.input[0].type.tensor_type.shape.dim]
    image = np.random.default_rng(1).normal(0, 1, dims).astype(np.float32)
    execute, whole = on_board(acl, network, image)
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: session.run(None, {"image": image})[0],
        "execute": execute,
        "whole": whole,
    }
    difference = np.abs(ways["plain"]() - whole()).max()
    if difference > 1e-4:
        raise SystemExit(f"the stand-in gives other numbers than ONNX Runtime: {difference}")
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            measured[name].append(once(way))
    return measured


def on_board(acl: Any, network: onnx.ModelProto, image: NDArray[Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Execution alone, and with the copies, of that network compiled by the stand-in compiler."""
    with tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as folder:
        source, target = Path(folder, "net.onnx"), Path(folder, "net.om")
        onnx.save(network, source)
        given = {"model": str(source), "framework": "5", "output": "net", "soc_version": "Ascend310"}
        given["precision_mode"] = "must_keep_origin_dtype"
        write_om(target, compile_model(given, "bench", lambda _warning: None).om)
        model, code = acl.mdl.load_from_file(str(target))
    succeed(code)
    description = acl.mdl.create_desc()
    succeed(acl.mdl.get_desc(description, model))
    shape = tuple(acl.mdl.get_output_dims(description, 0)[0]["dims"])
    (inputs, source_at), (outputs, target_at) = (
        device_dataset(acl, size(description, 0))
        for size in (acl.mdl.get_input_size_by_index, acl.mdl.get_output_size_by_index)
    )
    room = acl.mdl.get_output_size_by_index(description, 0)
    host, code = acl.rt.malloc_host(room)
    succeed(code)

    def execute() -> None:
        succeed(acl.mdl.execute(model, inputs, outputs))

    def whole() -> NDArray[Any]:
        data = image.tobytes()
        succeed(acl.rt.memcpy(source_at, len(data), acl.util.bytes_to_ptr(data), len(data), 1))
        execute()
        succeed(acl.rt.memcpy(host, room, target_at, room, 2))
        return np.frombuffer(acl.util.ptr_to_bytes(host, room), np.float32).reshape(shape)

    return execute, whole


def device_dataset(acl: Any, size: int) -> tuple[int, int]:
    """A dataset of one buffer: (dataset, address)."""
    pointer, code = acl.rt.malloc(size, 0)
    succeed(code)
    dataset = acl.mdl.create_dataset()
    succeed(acl.mdl.add_dataset_buffer(dataset, acl.create_data_buffer(pointer, size))[1])
    return dataset, pointer


def once(way: Callable[[], Any]) -> float:
    """Processor seconds of a call, over a window of calls; nothing here waits, so other programs disturb it least."""
    begun, calls = time.process_time(), 0
    while (elapsed := time.process_time() - begun) < WINDOW:
        way()
        calls += 1
    return elapsed / calls


def succeed(code: int) -> None:
    if code != 0:
        raise SystemExit(f"pyACL answered {code}")


if __name__ == "__main__":
    main()
