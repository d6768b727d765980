"""Read the tensors of a file of PyTorch without PyTorch; as with `weights_only=True`, no code of the file runs.

A pickle names the tensors; their bytes lie beside it. Only names of tensors, storages and plain values are accepted
(torch/_weights_only_unpickler.py and torch/serialization.py of PyTorch 2 describe both forms: the ZIP archive since
1.6, and the stream of pickles before).
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..failures import Damage, Failure, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "<?",
}  # fmt: skip
_STREAM_MAGIC = 0x1950A86A20F9469CFC6C  # of the form before 1.6
_MOST_PICKLE_BYTES = 64 << 20  # a pickle names tensors; their bytes are not in it
_HINT = "save the parameters alone: torch.save(model.state_dict(), path)"


@dataclass(frozen=True)
class _Storage:
    """A storage that the pickle names: its key in the file, element type and number of elements."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; sizes and strides in elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def is_torch(path: Path) -> bool:
    """True for the first bytes of a file of PyTorch; a ZIP archive of another program is none."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as pack:
            return any(name.endswith("/data.pkl") for name in pack.namelist())
    with path.open("rb") as file:
        return file.read(2) == b"\x80\x02"


def read(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a file by name; those of nested dictionaries by the names joined with dots.

    Raises:
        InputError: the file holds objects that are neither tensors nor plain values.
        Damage: the file is damaged.
    """
    try:
        found = _read_archive(path) if zipfile.is_zipfile(path) else _read_stream(path)
    except Failure:
        raise
    except Exception as error:  # a damaged pickle can end in any of them
        raise Damage(f"{path} cannot be read as a file of PyTorch: {error}", "create or fetch it again") from error
    if not found:
        raise InputError(f"{path} holds no tensors", _HINT)
    return found


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as pack:
        (index,) = [name for name in pack.namelist() if name.endswith("/data.pkl")]
        folder = index.removesuffix("data.pkl")
        if f"{folder}byteorder" in pack.namelist() and pack.read(f"{folder}byteorder") != b"little":
            raise InputError(f"{path} was written on a big-endian machine", "write it on another one")
        if pack.getinfo(index).file_size > _MOST_PICKLE_BYTES:
            raise Damage(f"{path}: its index is larger than {_MOST_PICKLE_BYTES:,} bytes", "fetch it again")
        with pack.open(index) as file:
            content = _Reader(file, path).load()

        def storage(wanted: _Storage) -> bytes:
            name, size = f"{folder}data/{wanted.key}", wanted.count * _item_bytes(wanted)
            if pack.getinfo(name).file_size != size:
                raise ValueError(f"storage {wanted.key} has {pack.getinfo(name).file_size} bytes, not {size}")
            return pack.read(name)

        return _arrays(content, storage)


def _read_stream(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:
        if _Reader(file, path).load() != _STREAM_MAGIC:
            raise InputError(f"{path} is a pickle, but none of PyTorch", _HINT)
        _Reader(file, path).load()  # version of the protocol
        _Reader(file, path).load()  # sizes of C types
        reader = _Reader(file, path)
        content, keys = reader.load(), _Reader(file, path).load()
        known = {item.key: item for item in reader.storages}
        places: dict[str, bytes] = {}
        for key in keys:
            count = int.from_bytes(file.read(8), "little", signed=True)
            if count != known[key].count:
                raise ValueError(f"storage {key} has {count} elements, not {known[key].count}")
            size = count * _item_bytes(known[key])
            places[key] = file.read(size)
            if len(places[key]) != size:
                raise EOFError("it ends too early")
        return _arrays(content, lambda wanted: places[wanted.key])


class _Reader(pickle._Unpickler):
    """Resolves names of tensors and storages only; everything else in the file is refused before it could run.

    It is the unpickler in Python: the one in C allocates as much memory as a damaged file asks for.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self.path = path
        self.storages: list[_Storage] = []

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of an accepted name."""
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return name
        found = _NAMES.get((module, name))
        if found is None:
            raise InputError(f"{self.path} holds a {module}.{name}, which is no tensor and is not read", _HINT)
        return found

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage that an entry of the pickle names: ("storage", type, key, device, count, …)."""
        word, kind, key, _, count, *_ = pid
        if word != "storage" or kind not in _STORAGES or not isinstance(count, int) or count < 0:
            raise pickle.UnpicklingError(f"unknown entry {str(pid)[:80]}")
        storage = _Storage(str(key), kind, count)
        self.storages.append(storage)
        return storage


def _tensor(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


# `OrderedDict` takes the attribute `_metadata` of a state dictionary; it is data, too.
_NAMES: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    ("torch.nn.parameter", "Parameter"): _parameter,
    ("torch", "device"): str,
}


def _item_bytes(storage: _Storage) -> int:
    return np.dtype(_STORAGES[storage.kind]).itemsize


def _arrays(content: Any, storage: Callable[[_Storage], bytes]) -> dict[str, NDArray[Any]]:
    """The tensors of nested dictionaries, by dotted name."""
    found: dict[str, NDArray[Any]] = {}
    read: dict[str, NDArray[Any]] = {}
    pending = [("", content)]
    while pending:
        prefix, value = pending.pop()
        if isinstance(value, _Tensor):
            if value.storage.key not in read:
                kept = np.frombuffer(storage(value.storage), _STORAGES[value.storage.kind])
                read[value.storage.key] = _widened(kept) if value.storage.kind == "BFloat16Storage" else kept
            found[prefix] = _view(read[value.storage.key], value)
        elif isinstance(value, dict):
            pending += [(f"{prefix}.{name}" if prefix else str(name), inner) for name, inner in value.items()]
    return found


def _widened(values: NDArray[Any]) -> NDArray[Any]:
    """Bfloat16 as float32: its 16 bits are the upper half."""
    return (values.astype(np.uint32) << 16).view(np.float32)


def _view(values: NDArray[Any], tensor: _Tensor) -> NDArray[Any]:
    """A copy of the elements that a tensor covers.

    Raises:
        ValueError: it reaches beyond its storage.
    """
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.size, tensor.stride, strict=True))
    bad = min((*tensor.size, *tensor.stride, tensor.offset), default=0) < 0
    if bad or (0 not in tensor.size and last >= len(values)):
        raise ValueError(f"a tensor {list(tensor.size)} reaches beyond its storage of {len(values)} elements")
    strides = [stride * values.itemsize for stride in tensor.stride]
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.size, strides)
    return np.ascontiguousarray(view).reshape(tensor.size)
