"""Export a checkpoint and compare the exported file with it on the evaluation images.

One format per process: MindSpore's exporters interfere with each other (docs/reference/mindspore.md §6).
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import mindspore
import numpy as np
from mindspore import nn
from mindspore.train.mind_ir_pb2 import ModelProto

from .data.images import class_names, read_contract, read_images
from .evaluation.inference import BATCH, logits, network_forward
from .failures import Damage, InputError, Refusal
from .files import replacing, sha256, write_json
from .parity import compare
from .protocol import event, log
from .training.checkpoint import load_checkpoint
from .training.runtime import device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from .spec.train_spec import TrainSpec

    _Shape = tuple[int | None, int, int, int]

FILES = {"mindir": "model.mindir", "onnx": "model.onnx", "air": "model.air"}
INPUT, OUTPUT = "image", "logits"
_BATCH_AXIS = "batch"
_TIMED = 20  # calls; the latency is their median


def export(
    spec: TrainSpec,
    build: Callable[[TrainSpec], nn.Cell],
    data: Path,
    checkpoint: Path,
    style: str,
    output: Path,
    batch: int = 0,
) -> None:
    """Write the model file of a format, its `logits.npy`, `check.json` and `latency.json` into `output`.

    AIR is not executed, so it has only `check.json`.

    Args:
        spec: specification of the training.
        build: builds the network.
        data: data set; its evaluation images are used for the comparison.
        checkpoint: path of the parameters.
        style: `mindir`, `onnx` or `air`.
        output: folder for the results.
        batch: images per call; 0 for any number. AIR does not support 0 and gets 1.

    Raises:
        Failure: an input is missing or damaged, or this machine cannot write the format.
    """
    if style not in FILES:
        raise InputError(f"unknown format '{style}'", f"one of {', '.join(FILES)}")
    if style == "air" and device() != "Ascend":
        raise Refusal("AIR can only be written where MindSpore runs on Ascend", "use the ONNX file instead")
    network = build(spec)
    load_checkpoint(checkpoint, network)
    network.set_train(False)
    path = output / FILES[style]
    if style == "air":
        batch = batch or 1
    _WRITERS[style](network, (batch or None, 3, spec.image_size, spec.image_size), path)
    check: dict[str, object] = {"format": style, "file": path.name, "sha256": sha256(path), "batch": batch or "any"}
    if style != "air":
        check.update(_compare(spec, network, data, path, style, batch))
    write_json(output / "check.json", check)


@contextmanager
def _plain_name(path: Path) -> Iterator[str]:
    """Yield another name of a file, for exporters: they refuse spaces and letters beyond ASCII in any folder's name."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _write_mindir(network: nn.Cell, shape: _Shape, path: Path) -> None:
    with replacing(path) as temporary:
        image = mindspore.Tensor(shape=list(shape), dtype=mindspore.float32) if shape[0] is None else _zeros(shape)
        with _plain_name(temporary) as name:
            mindspore.export(network, image, file_name=name, file_format="MINDIR")
        model = ModelProto()
        model.ParseFromString(temporary.read_bytes())
        # The exporter writes the time and a memory address into the graph, and orders the operators, which are
        # referenced by name, by address. Both are normalised: equal models give equal bytes.
        for attribute in model.graph.attribute:
            if attribute.s.startswith(b"export.mindir."):
                attribute.s = b"export.mindir"
        model.primitives.sort(key=lambda primitive: primitive.name)
        temporary.unlink()
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _write_onnx(network: nn.Cell, shape: _Shape, path: Path) -> None:
    import onnx  # noqa: PLC0415 - not needed for the other formats

    open_axes = {INPUT: {0: _BATCH_AXIS}, OUTPUT: {0: _BATCH_AXIS}}
    with replacing(path) as temporary:
        with _plain_name(temporary) as name:
            mindspore.onnx.export(
                network,
                _zeros(shape),
                file_name=name,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes=open_axes if shape[0] is None else None,
            )
        model = onnx.load(str(temporary))
        if shape[0] is None:  # the exporter names only the input's batch axis; the output's stays 1
            model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = _BATCH_AXIS
        onnx.checker.check_model(model)
        temporary.unlink()
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _write_air(network: nn.Cell, shape: _Shape, path: Path) -> None:
    with replacing(path) as temporary, _plain_name(temporary) as name:
        mindspore.export(network, _zeros(shape), file_name=name, file_format="AIR")


def _zeros(shape: _Shape) -> mindspore.Tensor:
    """Return an example input; one image where the batch size is dynamic."""
    return mindspore.Tensor(np.zeros((shape[0] or 1, *shape[1:]), np.float32))


_WRITERS: dict[str, Callable[[nn.Cell, _Shape, Path], None]] = {
    "mindir": _write_mindir,
    "onnx": _write_onnx,
    "air": _write_air,
}


def _compare(spec: TrainSpec, network: nn.Cell, data: Path, path: Path, style: str, fixed: int) -> dict[str, object]:
    """Compare the logits of all evaluation images with the checkpoint's; with a dynamic batch also of a single image.

    Write `logits.npy`, and `latency.json`, a separate file because its values differ each time.

    Returns:
        The result of `parity.compare`.
    """
    images = read_images(data, "eval", spec.classes)
    contract = read_contract(data, spec)
    expected = logits(network_forward(network), images.pixels, contract)
    forward = onnx_forward(path) if style == "onnx" else _mindir_forward(path)

    def progress(done: int, total: int) -> None:
        event("progress", done=done, total=total)

    found = logits(forward, images.pixels, contract, batch=fixed or BATCH, progress=progress)
    if not np.isfinite(found).all():
        raise Damage(f"{path} computes NaN or infinite logits", "check the checkpoint with `evaluate`")
    with replacing(path.with_name("logits.npy")) as temporary, temporary.open("wb") as file:
        np.save(file, found)
    numbers = compare(expected, found, images.labels, class_names(data)[: spec.classes])
    few = contract.tensor(images.pixels[:1]).repeat(fixed or 1, axis=0)
    single = forward(few)
    if not fixed:
        numbers["max_difference"] = float(max(numbers["max_difference"], np.abs(single - expected[:1]).max()))
    log(
        f"{path.name}: {len(images)} images, largest logit difference {numbers['max_difference']:.2e}, "
        f"top-1 agreement {numbers['agreement']:.4f}"
    )
    write_json(path.with_name("latency.json"), {"images": len(few), "milliseconds": _milliseconds(forward, few)})
    return numbers


def _milliseconds(forward: Callable[[NDArray[np.float32]], NDArray[np.float32]], tensor: NDArray[np.float32]) -> float:
    """Return the median time of a call in milliseconds; the caller has warmed up."""
    times = []
    for _ in range(_TIMED):
        began = time.perf_counter()
        forward(tensor)
        times.append((time.perf_counter() - began) * 1000)
    return float(np.median(times))


def _mindir_forward(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    return network_forward(nn.GraphCell(mindspore.load(str(path))))


def onnx_forward(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return an ONNX file as a function of arrays, run by ONNX Runtime on the CPU."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, at import
    import onnxruntime  # noqa: PLC0415 - not needed for the other formats

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def forward(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run([OUTPUT], {INPUT: tensor})[0]
        return result

    return forward
