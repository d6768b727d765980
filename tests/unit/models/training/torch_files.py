"""Write files as `torch.save` does, in both forms, without PyTorch: for tests of their reader."""

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

KINDS = {
    "float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage",
    "int32": "IntStorage", "uint8": "ByteStorage", "bool": "BoolStorage", "bfloat16": "BFloat16Storage",
}  # fmt: skip


class Global:
    """A name in a pickle, such as `torch.FloatStorage`."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *_: Any) -> None:
        raise AssertionError("names are only written")


class Called:
    """A call in a pickle: a name and its arguments."""

    def __init__(self, target: Global, *arguments: Any) -> None:
        self.target, self.arguments = target, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.target, self.arguments


class Tensor:
    """A tensor with its own storage; `kind` overrides the type of the array's bytes."""

    def __init__(self, values: Any, kind: str = "", transposed: bool = False, size: Any = None) -> None:
        self.values = np.ascontiguousarray(values)
        self.kind = kind or str(self.values.dtype)
        self.size, self.stride = self.values.shape, tuple(step // self.values.itemsize for step in self.values.strides)
        if transposed:
            self.size, self.stride = self.size[::-1], self.stride[::-1]
        self.size = size or self.size


class Writer(pickle._Pickler):
    """A pickler that writes names without importing them, and tensors by their storage."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, protocol=2)
        self.stored: dict[str, Tensor] = {}
        self.stream = False

    def persistent_id(self, item: Any) -> Any:
        if isinstance(item, tuple) and len(item) == 2 and item[0] == "storage":
            tensor = item[1]
            key = next((key for key, known in self.stored.items() if known is tensor), str(len(self.stored)))
            self.stored[key] = tensor
            name = Global("torch", KINDS[tensor.kind])
            return ("storage", name, key, "cpu", tensor.values.size, *((None,) if self.stream else ()))
        return None

    def save(self, item: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(item, Global):
            write: Any = getattr(self, "write")  # noqa: B009 - the stubs lack it
            write(pickle.GLOBAL + f"{item.module}\n{item.name}\n".encode())
            return
        if isinstance(item, Tensor):
            rebuild = Global("torch._utils", "_rebuild_tensor_v2")
            item = Called(rebuild, ("storage", item), 0, item.size, item.stride, False, OrderedDict())
        super().save(item, *arguments, **options)  # type: ignore[misc]  # likewise


def write_archive(path: Path, content: Any) -> Path:
    """The form since PyTorch 1.6."""
    index = io.BytesIO()
    writer = Writer(index)
    writer.dump(content)
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("archive/data.pkl", index.getvalue())
        pack.writestr("archive/byteorder", b"little")
        for key, tensor in writer.stored.items():
            pack.writestr(f"archive/data/{key}", tensor.values.tobytes())
        pack.writestr("archive/version", b"3\n")
    return path


def write_stream(path: Path, content: Any) -> Path:
    """The form before PyTorch 1.6, which old weight files still have."""
    with path.open("wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, file, protocol=2)
        writer = Writer(file)
        writer.stream = True
        writer.dump(content)
        pickle.dump(list(writer.stored), file, protocol=2)
        for tensor in writer.stored.values():
            file.write(struct.pack("<q", tensor.values.size) + tensor.values.tobytes())
    return path


def state(values: Mapping[str, Any]) -> "OrderedDict[str, Any]":
    """A state dictionary of PyTorch; it has an attribute besides its entries."""
    found = OrderedDict((name, value if isinstance(value, Tensor) else Tensor(value)) for name, value in values.items())
    found._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    return found


def imported() -> set[str]:
    """Modules of PyTorch that are imported; reading its files must not need any."""
    return {name for name in sys.modules if isinstance(sys.modules[name], ModuleType) and name.startswith("torch")}
