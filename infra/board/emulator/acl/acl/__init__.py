"""The stand-in for Huawei's pyACL: every function of docs/reference/pyacl.md §4.1, with its exact return shape.

Models run in ONNX Runtime on the CPU, and `EMULATED` is True. Handles are plain integers, memory is real and
addressable, every handle and address is checked, and errors give Huawei's code (pyacl.md §4.2) and a message for
`get_recent_err_msg`.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from . import _codes, mdl, rt, util
from ._execution import Buffer
from ._shapes import AclError, code, recent_message, value, value_and_code
from ._streams import close_all
from ._world import WORLD, soc_version

__all__ = ["EMULATED", "mdl", "rt", "util"]

EMULATED = True

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@code
def init(config_path: str | None = None) -> None:
    """Initialise; the optional configuration is a JSON file."""
    if WORLD.initialised:
        raise AclError(_codes.REPEAT_INITIALIZE, "acl.init was called before")
    if config_path:
        path = Path(config_path)
        if not path.is_file():
            raise AclError(_codes.INVALID_FILE, f"{path} is not a file")
        try:
            json.loads(path.read_bytes() or b"{}")
        except ValueError as error:
            raise AclError(_codes.PARSE_FILE, f"{path} is not valid JSON: {error}") from None
    WORLD.initialised, WORLD.finalised = True, False


@code
def finalize() -> None:
    """Finalise."""
    if not WORLD.initialised:
        wrong = _codes.REPEAT_FINALIZE if WORLD.finalised else _codes.UNINITIALIZE
        raise AclError(wrong, "acl is not initialised")
    close_all()
    WORLD.initialised, WORLD.finalised = False, True


def get_soc_name() -> str:
    """The chip's name, such as Ascend310."""
    return soc_version()


@value_and_code(0, 0, 0)
def get_version() -> tuple[int, int, int]:
    """The version of the interface: major, minor, patch."""
    return 1, 1, 0


def app_log(level: int, text: str) -> None:
    """Write to the log, which is standard error here."""
    name = _LEVELS[level] if 0 <= level < len(_LEVELS) else "INFO"
    sys.stderr.write(f"[{name}] {text}\n")


def get_recent_err_msg() -> str:
    """The message of the last error in this thread."""
    return recent_message()


def create_data_buffer(data: int, size: int) -> int:
    """Describe memory; a null address is allowed, for outputs."""
    return WORLD.add(Buffer(data or 0, size))


@code
def destroy_data_buffer(data_buffer: int) -> None:
    """Destroy a description; the memory stays."""
    WORLD.remove(data_buffer, Buffer, _codes.INVALID_PARAM)


@value(0)
def get_data_buffer_addr(data_buffer: int) -> int:
    """The address."""
    return WORLD.get(data_buffer, Buffer, _codes.INVALID_PARAM).address


@value(0)
def get_data_buffer_size(data_buffer: int) -> int:
    """The size in bytes (deprecated form)."""
    return WORLD.get(data_buffer, Buffer, _codes.INVALID_PARAM).size


@value(0)
def get_data_buffer_size_v2(data_buffer: int) -> int:
    """The size in bytes."""
    return WORLD.get(data_buffer, Buffer, _codes.INVALID_PARAM).size


@code
def update_data_buffer(data_buffer: int, data: int, size: int) -> None:
    """Change the memory that a buffer describes."""
    buffer = WORLD.get(data_buffer, Buffer, _codes.INVALID_PARAM)
    buffer.address, buffer.size = data, size


class _TensorDescription:
    """The value behind a handle of `create_tensor_desc`."""

    def __init__(self, data_type: int, dims: list[int], tensor_format: int) -> None:
        self.data_type, self.dims, self.format = data_type, list(dims), tensor_format


@value(0)
def create_tensor_desc(data_type: int, dims: list[int], format: int) -> int:
    """Describe a tensor."""
    if len(dims) > _codes.MAX_DIMS:
        raise AclError(_codes.INVALID_PARAM, f"{len(dims)} dimensions are too many")
    return WORLD.add(_TensorDescription(data_type, dims, format))


def destroy_tensor_desc(desc: int) -> None:
    """Destroy a description; returns nothing."""
    WORLD.handles.pop(desc, None)


@value(0)
def get_tensor_desc_size(desc: int) -> int:
    """Bytes of the tensor; 0 when a dimension is unknown."""
    found = WORLD.get(desc, _TensorDescription, _codes.INVALID_PARAM)
    size = data_type_size(found.data_type)
    for dim in found.dims:
        size *= max(dim, 0)
    return size


def data_type_size(data_type: int) -> int:
    """Bytes of one element; 0 for an unknown type."""
    return _codes.DATA_TYPE_SIZES.get(data_type, 0)


class _Surface:
    """An object in place of a module: at its end the interpreter empties modules, but not objects.

    A program's `__del__` may call `acl` then and needs the functions (docs/reference/pyacl.md
    §4.1).
    """

    def __init__(self, module: ModuleType) -> None:
        self.__dict__ = vars(module)


class _Package(_Surface):
    """`acl` itself; it imports `acl.media` on first use, because that needs Pillow."""

    def __getattr__(self, name: str) -> Any:
        if name != "media":
            raise AttributeError(f"module 'acl' has no attribute '{name}'")
        media = _Surface(importlib.import_module(".media", __name__))
        self.media = sys.modules[f"{__name__}.media"] = media  # type: ignore[assignment]
        return media


for _name, _module in (("mdl", mdl), ("rt", rt), ("util", util)):
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = _Surface(_module)  # type: ignore[assignment]
sys.modules[__name__] = _Package(sys.modules[__name__])  # type: ignore[assignment]
del _name, _module
