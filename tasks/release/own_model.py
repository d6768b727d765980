"""A model of the user's own (`convert.model`): its shapes are checked, and its own answers are what boards must give.

Nothing that is known of this chain's checkpoint is said of such a model.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from infra.errors import UserError
from infra.ports.values import LocalFile
from infra.store.digests import file_digest
from tasks.class_names import labels
from tasks.evaluation_images import evaluation_images, input_contract
from tasks.specs import image_shape

if TYPE_CHECKING:
    import numpy as np

    from tasks.engine.stage import StageContext

FILE = "predictions.npz"
_BATCH = 64


def with_predictions(context: StageContext) -> StageContext:
    """Execute the model on the evaluation images; its logits become the input `predictions`.

    Raises:
        UserError: the model is no ONNX or AIR file, or its shapes do not fit the settings and the data set.
    """
    import numpy as np

    path = context.folder / FILE
    np.savez(path, logits=_logits(context))
    file = LocalFile(path, file_digest(path), path.stat().st_size)
    return replace(context, files={**context.files, "predictions": {FILE: file}})


def _logits(context: StageContext) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Logits of all evaluation images: float32 [n, classes]."""
    import numpy as np

    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, at import
    import onnxruntime

    model = context.input("model")
    session = onnxruntime.InferenceSession(_onnx(context), providers=["CPUExecutionProvider"])
    _check_shapes(session, model.name, image_shape(context.settings), len(labels(context)))
    (entry,) = session.get_inputs()
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else _BATCH
    contract = input_contract(context.settings, context.files["data"])
    images = evaluation_images(context)[0]
    answers = []
    for start in range(0, len(images), batch):
        tensor = contract.tensor(images[start : start + batch])
        padded = np.concatenate([tensor, np.zeros((batch - len(tensor), *tensor.shape[1:]), tensor.dtype)])
        answers.append(session.run(None, {entry.name: padded})[0][: len(tensor)])
    found: np.ndarray[Any, np.dtype[np.float32]] = np.concatenate(answers).astype(np.float32)
    return found


def _onnx(context: StageContext) -> bytes:
    model = context.input("model")
    content = model.read_bytes()
    if model.suffix == ".onnx":
        return content
    if model.suffix != ".air":
        raise UserError(f"convert.model: {model.name} is no .onnx and no .air file")
    from infra.air.reader import to_onnx

    translated: bytes = to_onnx(content).SerializeToString()
    return translated


def _check_shapes(session: Any, name: str, image: tuple[int, int, int], classes: int) -> None:
    """Compare the model's input and output with what boards feed and the data set names."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise UserError(f"convert.model: {name} has {len(inputs)} inputs", hint="it must take one image and no more")
    if list(inputs[0].shape[1:]) != list(image):
        wanted = "×".join(map(str, image))
        raise UserError(
            f"convert.model: {name} takes {inputs[0].shape}, not images of {wanted} (channels, height, width)",
            hint=f"set train.image_size={inputs[0].shape[-1]}, or export the model with this shape",
        )
    if outputs[0].shape[-1] != classes:
        raise UserError(
            f"convert.model: {name} has {outputs[0].shape[-1]} outputs; the data set has {classes} classes",
            hint="name the data set that the model was trained on (data.source)",
        )
