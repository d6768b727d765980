"""`acl.op`: single operators that `atc --singleop` compiled (docs/reference/pyacl.md §4.4).

`set_model_dir` reads the `.om` files of a folder; an execution looks for the one with its operator, shapes, types and
attributes. Operators that the program compiles itself are not supported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _codes
from ._execution import Dataset, execute_model
from ._memory import MEMORY
from ._models import Model, read_file
from ._models import load as _load
from ._shapes import AclError, code, value_and_code
from ._streams import run_in
from ._tensors import TensorDescription
from ._world import WORLD

OPERATOR = "singleop"  # the option of an .om that names its operator
ATTRIBUTES = "singleop_attributes"  # and the one with its attributes, as `name=value` joined by `;`
Shape = tuple[int, tuple[int, ...]]  # data type and dimensions


@dataclass
class Attributes:
    """The attributes of an operator, by name."""

    values: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """As the compiler writes them into an `.om`."""
        return ";".join(f"{name}={value}" for name, value in sorted(self.values.items()))


@dataclass
class Handle:
    """An operator that was looked up, for repeated executions."""

    model: Model


_found: list[Model] = []


@code
def set_model_dir(model_dir: str) -> None:
    """Read the operators of a folder; allowed once."""
    if _found:
        raise AclError(_codes.REPEAT_INITIALIZE, "acl.op.set_model_dir was called before")
    files = sorted(Path(model_dir).glob("*.om")) if Path(model_dir).is_dir() else []
    if not files:
        raise AclError(_codes.INVALID_PARAM, f"{model_dir} is no folder with .om files")
    _found.extend(_operator(read_file(str(file))) for file in files)


@code
def load(model: int, model_size: int) -> None:
    """Read an operator from memory."""
    with MEMORY.view(model, model_size) as data:
        _found.append(_operator(data.tobytes()))


def create_attr() -> int:
    """No attributes."""
    return WORLD.add(Attributes())


def destroy_attr(attr: int) -> None:
    """Destroy attributes; returns nothing."""
    WORLD.handles.pop(attr, None)


def _setter(kind: type | None) -> Callable[[int, str, Any], int]:
    """A function that sets an attribute, which is a list where `kind` is given."""

    @code
    def set_attr(attr: int, name: str, value: Any) -> None:
        if kind is not None and not (isinstance(value, list) and all(isinstance(item, kind) for item in value)):
            raise TypeError("argument 3 is not list or numpy array")
        WORLD.get(attr, Attributes, _codes.INVALID_PARAM).values[name] = value

    return set_attr


set_attr_int = set_attr_float = set_attr_string = _setter(None)
set_attr_list_bool = set_attr_list_int = _setter(int)
set_attr_list_float, set_attr_list_string = _setter(float), _setter(str)


@code
def set_attr_bool(attr: int, name: str, value: int) -> None:
    """Set a boolean attribute."""
    WORLD.get(attr, Attributes, _codes.INVALID_PARAM).values[name] = bool(value)


@code
def execute_v2(
    op_type: str,
    input_desc: list[int],
    inputs: list[int],
    output_desc: list[int],
    outputs: list[int],
    attr: int,
    stream: int,
) -> None:
    """Run an operator in a stream."""
    for part in (input_desc, inputs, output_desc, outputs):
        _check_list(part)
    if len(input_desc) != len(inputs) or len(output_desc) != len(outputs):
        raise AclError(_codes.INVALID_PARAM, "there are not as many descriptions as buffers")
    _queue(_look_up(op_type, input_desc, output_desc, attr), inputs, outputs, stream)


execute = execute_v2


@value_and_code(0)
def create_handle(op_type: str, input_desc: list[int], output_desc: list[int], attr: int) -> int:
    """Look an operator up for repeated executions."""
    _check_list(input_desc)
    _check_list(output_desc)
    return WORLD.add(Handle(_look_up(op_type, input_desc, output_desc, attr)))


def destroy_handle(handle: int) -> None:
    """Forget it; returns nothing."""
    WORLD.handles.pop(handle, None)


@code
def execute_with_handle(handle: int, inputs: list[int], outputs: list[int], stream: int) -> None:
    """Run an operator that was looked up, in a stream."""
    _check_list(inputs)
    _check_list(outputs)
    _queue(WORLD.get(handle, Handle, _codes.INVALID_PARAM).model, inputs, outputs, stream)


@code
def cast(src_desc: int, src: int, dst_desc: int, dst: int, truncate: int, stream: int) -> None:  # noqa: ARG001
    """Change the type of a tensor, by the compiled operator Cast."""
    wanted = WORLD.get(dst_desc, TensorDescription, _codes.INVALID_PARAM).data_type
    attributes = WORLD.add(Attributes({"dst_type": wanted}))
    try:
        model = _look_up("Cast", [src_desc], [dst_desc], attributes)
    finally:
        WORLD.handles.pop(attributes, None)
    _queue(model, [src], [dst], stream)


def _operator(data: bytes) -> Model:
    model = _load(data, WORLD.context())
    if OPERATOR not in model.om.options:
        raise AclError(_codes.OP_LOAD_FAILED, "the .om is a model, not a single operator")
    return model


def _look_up(op_type: str, input_desc: Sequence[int], output_desc: Sequence[int], attr: int) -> Model:
    attributes = WORLD.get(attr, Attributes, _codes.INVALID_PARAM).text if attr else ""
    wanted = [_shape(handle) for handle in input_desc], [_shape(handle) for handle in output_desc]
    for model in _found:
        own = [(item.dtype, item.dims) for item in model.inputs], [(item.dtype, item.dims) for item in model.outputs]
        options = model.om.options
        if (options[OPERATOR], own, options.get(ATTRIBUTES, "")) == (op_type, wanted, attributes):
            return model
    raise AclError(_codes.OP_NOT_FOUND, f"no compiled {op_type} takes {wanted[0]} and gives {wanted[1]}")


def _shape(desc: int) -> Shape:
    found = WORLD.get(desc, TensorDescription, _codes.INVALID_PARAM)
    return found.data_type, tuple(found.dims)


def _queue(model: Model, inputs: Sequence[int], outputs: Sequence[int], stream: int) -> None:
    given, wanted = Dataset(), Dataset()
    for dataset, buffers in ((given, inputs), (wanted, outputs)):
        for buffer in buffers:
            dataset.add(buffer)
    run_in(stream, lambda: execute_model(model, given, wanted, allocate=False))


def _check_list(values: Any) -> None:
    if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
        raise TypeError("the list argument is not list of int")
