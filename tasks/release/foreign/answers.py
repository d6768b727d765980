"""The answers of a model under ONNX Runtime: of the user's file as it is, and of what is compiled from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from infra.errors import Corrupt, UserError
from tasks.release.foreign.classifier import GREY, Answers, Feed, Reading

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

_BATCH = 16
# Of two graphs that compute the same in another order: float32 keeps 24 bits, and a network adds many products.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4
_HALF = 10
"""Factor for models in float16, which keeps 11 bits."""


def session(model: Path | bytes, name: str) -> Any:
    """Load a model.

    Raises:
        UserError: ONNX Runtime cannot load it.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, at import
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its classes share no base but this one
        raise UserError(
            f"ONNX Runtime cannot load {name}: {error}", hint="check the file in its own framework"
        ) from error


def own_answers(model: Any, reading: Reading, tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the user's model answers, in the form that it has.

    Args:
        model: the session.
        reading: of the model.
        tensor: float32 [n, 3, size, size].
    """
    assert reading.feed is not None  # noqa: S101 - a reading without errors has one
    feed = reading.feed
    return _run(model, feed.name, [reading.output], _as_fed(tensor, feed), feed.batch)


def logits(model: Any, tensor: np.ndarray[Any, Any], batch: int) -> np.ndarray[Any, Any]:
    """Logits of the adapted model, float32 [n, classes]."""
    import numpy as np

    found = _run(model, model.get_inputs()[0].name, None, tensor, batch)
    return found.reshape(len(tensor), -1).astype(np.float32)


def as_logits(reading: Reading, own: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The user's answers in the form of logits: float32 [n, classes].

    Probabilities are known up to a constant a picture, which is taken from `found`; of a bare class number nothing else
    is known, so the scores of `found` are changed only where the number differs.
    """
    import numpy as np

    if reading.answers is Answers.NUMBER:
        numbers = own.reshape(-1).astype(np.int64)
        changed: np.ndarray[Any, Any] = found.copy()
        changed[np.arange(len(found)), numbers] = found.max(axis=1)
        wrong = found.argmax(axis=1) != numbers
        changed[wrong, numbers[wrong]] += 1
        return changed
    own = own.reshape(len(found), -1).astype(np.float64)
    if reading.answers is Answers.LOGITS:
        return own.astype(np.float32)
    if reading.answers is Answers.PROBABILITY:
        own = np.concatenate([1 - own, own], axis=1)
    floor = np.log(np.clip(own, np.finfo(np.float32).tiny, 1))
    shift = found.max(axis=1, keepdims=True) - floor.max(axis=1, keepdims=True)
    moved: np.ndarray[Any, Any] = (floor + shift).astype(np.float32)
    return moved


def check_same(reading: Reading, own: np.ndarray[Any, Any], found: np.ndarray[Any, Any], name: str) -> float:
    """The largest difference between the user's answers and those of the adapted model.

    Raises:
        Corrupt: they differ by more than rounding.
    """
    import numpy as np

    if reading.answers is Answers.NUMBER:
        wrong = int((own.reshape(-1) != found.argmax(axis=1)).sum())
        if wrong:
            raise Corrupt(
                f"{name} names another class for {wrong} of {len(found)} pictures after its changes", hint=_HINT
            )
        return 0.0
    mine = found.astype(np.float64)
    if reading.answers is not Answers.LOGITS:
        powers = np.exp(mine - mine.max(axis=1, keepdims=True))
        mine = powers / powers.sum(axis=1, keepdims=True)
        mine = mine[:, 1:] if reading.answers is Answers.PROBABILITY else mine
    theirs = own.reshape(len(found), -1).astype(np.float64)
    factor = _HALF if reading.feed is not None and reading.feed.dtype == "float16" else 1
    difference = float(np.abs(mine - theirs).max())
    if not difference <= factor * (_ABSOLUTE + _RELATIVE * float(np.abs(theirs).max())):  # also for NaN
        raise Corrupt(f"{name} answers differently after its changes: by up to {difference:.3g}", hint=_HINT)
    return difference


_HINT = "compile the file with atc itself, and report the model: a change was not as safe as was thought"


def _as_fed(tensor: np.ndarray[Any, Any], feed: Feed) -> np.ndarray[Any, Any]:
    import numpy as np

    if feed.channels == 1:
        tensor = np.tensordot(tensor, np.array(GREY, np.float32), axes=([1], [0]))[:, np.newaxis]
    if feed.last:
        tensor = tensor.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(tensor.astype(feed.dtype))


def _run(
    model: Any, name: str, outputs: list[str] | None, tensor: np.ndarray[Any, Any], batch: int
) -> np.ndarray[Any, Any]:
    """The first output for all pictures, in batches; a fixed batch is filled with zeros."""
    import numpy as np

    step = batch or _BATCH
    idle = {item.name: _zeros(item) for item in model.get_inputs() if item.name != name}
    done = []
    for start in range(0, len(tensor), step):
        part = tensor[start : start + step]
        whole = part
        if batch and len(part) < batch:
            whole = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), part.dtype)])
        done.append(np.asarray(model.run(outputs, {**idle, name: whole})[0])[: len(part)])
    return np.concatenate(done)


def _zeros(entry: Any) -> np.ndarray[Any, Any]:
    """A value for an input that no operator reads, but that ONNX Runtime asks for."""
    import numpy as np
    import onnx

    kind = {"float": "FLOAT", "double": "DOUBLE"}.get(word := entry.type[len("tensor(") : -1], word.upper())
    dtype = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(kind))
    return np.zeros([dim if isinstance(dim, int) else 1 for dim in entry.shape], dtype)
