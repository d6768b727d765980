"""Loaded models: read an `.om` of the stand-in compiler, and run its network in ONNX Runtime."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _codes
from ._shapes import AclError
from ._world import WORLD, Context, soc_version

if TYPE_CHECKING:
    from infra.atc.emulator.om import OmModel, OmTensor

DTYPES: Mapping[int, Any] = {
    _codes.FLOAT: np.float32,
    _codes.FLOAT16: np.float16,
    _codes.INT8: np.int8,
    _codes.INT32: np.int32,
    _codes.UINT8: np.uint8,
    _codes.INT16: np.int16,
    _codes.UINT16: np.uint16,
    _codes.UINT32: np.uint32,
    _codes.INT64: np.int64,
    _codes.UINT64: np.uint64,
    _codes.DOUBLE: np.float64,
    _codes.BOOL: np.bool_,
}

Gear = tuple[int, ...]


def _om_format() -> Any:
    """The module of the file format, without making AtlasFlow visible to the board's Python."""
    house = str(Path(__file__).resolve().parents[5])
    sys.path.append(house)
    try:
        return importlib.import_module("infra.atc.emulator.om")
    finally:
        sys.path.remove(house)


@dataclass
class Model:
    """A model in a context; `current` is the gear of the last execution or of the last setting."""

    context: Context
    om: "OmModel"
    session: Any
    number: int = 0
    current: Gear = ()
    shapes: dict[Gear, list[tuple[int, ...]]] = field(default_factory=dict)

    @property
    def inputs(self) -> "Sequence[OmTensor]":
        """The inputs."""
        return self.om.inputs

    @property
    def outputs(self) -> "Sequence[OmTensor]":
        """The outputs."""
        return self.om.outputs

    @property
    def largest(self) -> Gear:
        """The gear with the largest memory; empty for a static model."""
        return max(self.om.gears, key=lambda gear: int(np.prod(gear)), default=())

    def gears_of(self, kind: str) -> Sequence[Gear]:
        """The gears of that kind: batch, image or dims."""
        return self.om.gears if self.om.gear_kind == kind else ()

    def input_dims(self, gear: Gear) -> list[tuple[int, ...]]:
        """The dimensions of the inputs that carry data at a gear; a batch gear is every input's, others go in order."""
        remaining = iter(gear)
        dims = []
        for tensor in self.inputs:
            if tensor.name != _codes.DYNAMIC_INPUT:
                sizes = iter(gear) if self.om.gear_kind == "batch" else remaining
                dims.append(tuple(next(sizes) if size < 0 else size for size in tensor.dims))
        return dims

    def output_dims(self, index: int, gear: Gear) -> tuple[int, ...]:
        """The dimensions of an output at a gear, computed by a run on zeros if the file does not have them."""
        if not gear or gear == self.largest:
            return self.outputs[index].dims
        if gear not in self.shapes:
            tensors = [tensor for tensor in self.inputs if tensor.name != _codes.DYNAMIC_INPUT]
            sizes = self.input_dims(gear)
            self.run([np.zeros(dims, DTYPES[tensor.dtype]) for dims, tensor in zip(sizes, tensors, strict=True)], gear)
        return self.shapes[gear][index]

    def run(self, arrays: Sequence[npt.NDArray[Any]], gear: Gear) -> list[npt.NDArray[Any]]:
        """Infer; the arrays have the shapes of `input_dims(gear)`."""
        names = [tensor.name for tensor in self.inputs if tensor.name != _codes.DYNAMIC_INPUT]
        try:
            results: list[npt.NDArray[Any]] = self.session.run(None, dict(zip(names, arrays, strict=True)))
        except Exception as error:
            raise AclError(_codes.RT_MODEL_EXECUTE, f"inference failed: {error}") from error
        self.shapes[gear] = [result.shape for result in results]
        return results


def read_file(path: str) -> bytes:
    """The bytes of a model file."""
    file = Path(path)
    if not path or not file.is_file() or file.stat().st_size == 0:
        raise AclError(_codes.GE_MODEL_PATH, f"'{path}' is no model file, or is empty")
    return file.read_bytes()


def parse(data: bytes) -> "OmModel":
    """Read an `.om`; errors have pyACL's codes."""
    form = _om_format()
    try:
        model: OmModel = form.parse_om(data, "the model")
    except form.OmError as error:
        raise AclError(error.code, error.message) from error
    return model


def load(data: bytes, context: Context) -> Model:
    """Load a model for the stand-in's chip."""
    om = _own(data)
    if om.soc_version != soc_version():
        raise AclError(
            _codes.RT_SOC_VERSION,
            f"ModelCheckCompatibility failed: the model is for {om.soc_version}, this is {soc_version()}",
        )
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it is read once, at import; calls made later come too late
    import onnxruntime  # noqa: PLC0415 - takes half a second, which only programs that load a model should pay

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(om.onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise AclError(_codes.GE_LOAD_MODEL, f"the network cannot be loaded: {error}") from error
    return Model(context, om, session)


def describe(data: bytes) -> Model:
    """A model that is not loaded, for its description."""
    return Model(Context(0, implicit=True), _own(data), None)


def sizes(data: bytes) -> tuple[int, int]:
    """Bytes of work space (all inputs and outputs) and of weights (the stored network) that a model needs."""
    om = _own(data)
    return sum(tensor.size for tensor in (*om.inputs, *om.outputs)), len(om.onnx)


def forget_models(device: int) -> None:
    """Unload all models of a device that is reset."""
    for handle, model in WORLD.all(Model):
        if model.context.device == device:
            WORLD.handles.pop(handle, None)


def _own(data: bytes) -> "OmModel":
    """Read an `.om` of the stand-in compiler; of another the contents are unknown."""
    om = parse(data)
    if not om.emulated:
        raise AclError(
            _codes.GE_LOAD_MODEL, "the model was compiled for hardware; a stand-in runs what the stand-in compiler made"
        )
    return om
