"""int8: quantise an ONNX classifier after training, layer by layer, so far as its answers stay.

ONNX Runtime's static quantisation measures the ranges of all tensors on calibration pictures and writes pairs of
QuantizeLinear and DequantizeLinear; ATC's parsers read these for opsets 10 to 15 (docs/reference/atc.md §3.8). Weights
are symmetric with a scale for each output channel, activations symmetric with one scale, as the chip's cube unit has.
Where too many answers change, the layers that change the logits most stay float16.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

PICTURES = 256  # calibration pictures; the ranges come from one half, the other half judges
MOST_LOSS = 0.01  # share of the judging half whose answer may change
_BATCH = 16
_OPSET = 13  # the first with a scale for each channel
_LAYERS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Quantised:
    """The result: names of the layers that compute in int8, and of those that stay float16."""

    int8: tuple[str, ...]
    half: tuple[str, ...]
    changed: float

    @property
    def text(self) -> str:
        """One line for the log."""
        kept = f", float16 for {', '.join(self.half)}" if self.half else ""
        return f"int8 in {len(self.int8)} layers{kept}; {self.changed:.1%} of the held-back answers change"


def quantise(model: Path, target: Path, tensors: NDArray[np.float32], most_loss: float = MOST_LOSS) -> Quantised:
    """Write the quantised form of a model.

    Args:
        model: an ONNX classifier with one input; its batch may be open.
        target: the file to write.
        tensors: network inputs of calibration pictures, float32 [n, 3, height, width].
        most_loss: share of answers that may change, 0 to 1.

    Raises:
        UserError: the model has no layer to quantise, or there are too few pictures.
    """
    if len(tensors) < 2:
        raise UserError(f"int8 needs calibration pictures, and there are {len(tensors)}", hint="use a larger data set")
    with tempfile.TemporaryDirectory(prefix="int8-", dir=target.parent) as name:
        work = _Work(Path(name), model, tensors)
        if not work.layers:
            raise UserError(f"{model.name} has no {', '.join(_LAYERS)} to quantise", hint="leave int8 out")
        half: list[str] = []
        changed = work.changed(half)
        if changed > most_loss:
            for layer in work.by_damage():
                half.append(layer)
                changed = work.changed(half)
                if changed <= most_loss:
                    break
        work.written.replace(target)
    return Quantised(tuple(layer for layer in work.layers if layer not in half), tuple(half), changed)


class _Work:
    """Trials in a temporary folder; `written` is the file of the last one."""

    def __init__(self, folder: Path, model: Path, tensors: NDArray[np.float32]) -> None:
        import onnx
        from onnx import version_converter
        from onnxruntime.quantization import shape_inference

        network = onnx.load(model)
        opset = next(item.version for item in network.opset_import if item.domain in ("", "ai.onnx"))
        if opset < _OPSET:
            network = version_converter.convert_version(network, _OPSET)
        for index, node in enumerate(network.graph.node):
            node.name = node.name or f"{node.op_type}_{index}"
        raw, self.ready, self.written = (folder / f"{name}.onnx" for name in ("raw", "ready", "int8"))
        onnx.save(network, raw)
        # Folds constants and batch normalisations into the layers before them.
        shape_inference.quant_pre_process(str(raw), str(self.ready), skip_symbolic_shape=True)
        found = onnx.load(self.ready).graph
        self.layers = [node.name for node in found.node if node.op_type in _LAYERS]
        self.input = found.input[0].name
        fixed = found.input[0].type.tensor_type.shape.dim[0].dim_value
        self.batch = fixed or _BATCH
        self.open = not fixed
        middle = len(tensors) // 2
        self.measured, self.judged = tensors[:middle], tensors[middle:]
        if fixed > middle:
            raise UserError(f"int8 needs {2 * fixed} calibration pictures", hint="use a smaller export.batch")
        self.expected = self._logits(self.ready)

    def changed(self, half: Sequence[str]) -> float:
        """Quantise all layers but some; returns the share of answers that change."""
        self._quantise([layer for layer in self.layers if layer not in half])
        return float((self._logits(self.written).argmax(1) != self.expected.argmax(1)).mean())

    def by_damage(self) -> list[str]:
        """The layers, the one first whose quantisation alone changes the logits most."""
        damage = {}
        for layer in self.layers:
            self._quantise([layer])
            damage[layer] = float(abs(self._logits(self.written) - self.expected).mean())
        return sorted(self.layers, key=lambda layer: damage[layer], reverse=True)

    def _quantise(self, layers: Sequence[str]) -> None:
        import shutil

        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        if not layers:
            shutil.copyfile(self.ready, self.written)
            return
        quantize_static(
            str(self.ready),
            str(self.written),
            _Pictures(self.input, self._batches(self.measured)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(layers),
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
        )

    def _batches(self, tensors: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(tensors), self.batch):
            part = tensors[start : start + self.batch]
            if self.open or len(part) == self.batch:
                yield part

    def _logits(self, model: Path) -> NDArray[np.float32]:
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        parts = [session.run(None, {self.input: part})[0] for part in self._batches(self.judged)]
        logits: NDArray[np.float32] = np.concatenate(parts)
        return logits


class _Pictures:
    """What ONNX Runtime reads calibration pictures from, one batch a call."""

    def __init__(self, name: str, batches: Iterator[NDArray[Any]]) -> None:
        self.name, self.batches = name, batches

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch by the input's name; None at the end."""
        part = next(self.batches, None)
        return None if part is None else {self.name: part}
