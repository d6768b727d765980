"""Export a checkpoint, and prove on the evaluation images that the file computes the same.

One format a process: MindSpore's exporters disturb one another (ascend-domain.md §6).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import mindspore
import numpy as np
from mindspore import nn
from mindspore.train.mind_ir_pb2 import ModelProto

from .cifar10 import read_images
from .failures import Damage, InputError, Refusal
from .files import replacing, sha256, write_json
from .inference import logits, network_forward
from .parameters import load_checkpoint
from .preprocess import PRESETS
from .protocol import event, say
from .runtime import device

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from .trainspec import TrainSpec

FILES = {"mindir": "model.mindir", "onnx": "model.onnx", "air": "model.air"}
INPUT, OUTPUT = "image", "logits"
_BATCH_AXIS = "batch"


def export(
    spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], data: Path, checkpoint: Path, style: str, output: Path
) -> None:
    """Write the model file of a format and `check.json` into `output`.

    Args:
        spec: what the checkpoint was trained with.
        build: makes the network.
        data: the evaluation images are those to compare on.
        checkpoint: the parameters.
        style: `mindir`, `onnx` or `air`.
        output: a folder.

    Raises:
        Failure: input is missing or damaged, or this machine cannot make the format.
    """
    if style not in FILES:
        raise InputError(f"there is no format '{style}'", f"one of {', '.join(FILES)}")
    if style == "air" and device() != "Ascend":
        raise Refusal("AIR can only be written where MindSpore runs on Ascend", "use the ONNX file instead")
    network = build(spec)
    load_checkpoint(checkpoint, network)
    network.set_train(False)
    path = output / FILES[style]
    _WRITERS[style](network, spec.image_size, path)
    check: dict[str, object] = {"format": style, "file": path.name, "sha256": sha256(path), "batch": _BATCHES[style]}
    if style != "air":
        check.update(_compare(spec, network, data, path, style))
    write_json(output / "check.json", check)


def _write_mindir(network: nn.Cell, size: int, path: Path) -> None:
    with replacing(path) as temporary:
        shape = mindspore.Tensor(shape=[None, 3, size, size], dtype=mindspore.float32)
        mindspore.export(network, shape, file_name=str(temporary), file_format="MINDIR")
        model = ModelProto()
        model.ParseFromString(temporary.read_bytes())
        # The exporter marks the graph with the time and a memory address, and lists the operators, which are referred
        # to by name, in the order of their addresses. Without both, equal models are equal bytes.
        for attribute in model.graph.attribute:
            if attribute.s.startswith(b"export.mindir."):
                attribute.s = b"export.mindir"
        model.primitives.sort(key=lambda primitive: primitive.name)
        temporary.unlink()
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _write_onnx(network: nn.Cell, size: int, path: Path) -> None:
    import onnx  # noqa: PLC0415 - not needed for the other formats

    with replacing(path) as temporary:
        mindspore.onnx.export(
            network,
            mindspore.Tensor(np.zeros((1, 3, size, size), np.float32)),
            file_name=str(temporary),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: _BATCH_AXIS}, OUTPUT: {0: _BATCH_AXIS}},
        )
        model = onnx.load(str(temporary))
        # The exporter names the input's batch axis and leaves the output's at 1.
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = _BATCH_AXIS
        onnx.checker.check_model(model)
        temporary.unlink()
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _write_air(network: nn.Cell, size: int, path: Path) -> None:
    with replacing(path) as temporary:
        image = mindspore.Tensor(np.zeros((1, 3, size, size), np.float32))
        mindspore.export(network, image, file_name=str(temporary), file_format="AIR")


_WRITERS: dict[str, Callable[[nn.Cell, int, Path], None]] = {
    "mindir": _write_mindir,
    "onnx": _write_onnx,
    "air": _write_air,
}
_BATCHES = {"mindir": "any", "onnx": "any", "air": "1"}


def _compare(spec: TrainSpec, network: nn.Cell, data: Path, path: Path, style: str) -> dict[str, object]:
    """Logits of all evaluation images in batches, and of one image alone, against the checkpoint's."""
    images = read_images(data, "eval", spec.classes)
    normalisation = PRESETS[spec.normalisation]
    expected = logits(network_forward(network), images.pixels, spec.image_size, normalisation)
    forward = onnx_forward(path) if style == "onnx" else _mindir_forward(path)

    def progress(done: int, total: int) -> None:
        event("progress", done=done, total=total)

    found = logits(forward, images.pixels, spec.image_size, normalisation, progress=progress)
    single = logits(forward, images.pixels[:1], spec.image_size, normalisation, batch=1)
    difference = float(max(np.abs(found - expected).max(), np.abs(single - expected[:1]).max()))
    if not np.isfinite(found).all():
        raise Damage(f"{path} gives logits that are no numbers", "look at the checkpoint with `evaluate`")
    agreement = float(np.mean(found.argmax(axis=1) == expected.argmax(axis=1)))
    say(
        f"{path.name}: {len(images)} images, largest logit difference {difference:.2e}, top-1 agreement {agreement:.4f}"
    )
    return {"images": len(images), "max_difference": difference, "top1_agreement": agreement}


def _mindir_forward(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    return network_forward(nn.GraphCell(mindspore.load(str(path))))


def onnx_forward(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """An ONNX file as a function of arrays, run by ONNX Runtime on the CPU."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it is read once, at import; calls made later come too late
    import onnxruntime  # noqa: PLC0415 - not needed for the other formats

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def forward(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run([OUTPUT], {INPUT: tensor})[0]
        return result

    return forward
