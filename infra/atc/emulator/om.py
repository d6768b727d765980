"""The `.om` file: the real header and partition table around the stand-in's payload (docs/reference/atc.md §3.7).

A file is a 256-byte header, a partition table with 64-bit sizes, and the partitions, in this order without gaps.
The stand-in writes two partitions:

* `MODEL_DEF`: the line `AtlasFlow stand-in model, not for hardware: 1`, then one JSON object (UTF-8, sorted keys) with
  all fields of `OmModel` except the graph. A file of the real ATC has a serialized graph here.
* `WEIGHTS_DATA`: the ONNX model that the stand-in pyACL executes. Its inputs and outputs are those of
  the `.om` (dtypes, layout), without the gear input of dynamic batch: AIPP and precision are part of the graph.

Equal models give equal bytes: nothing in the file depends on time or place.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.errors import Corrupt
from infra.store.atomic import replacing

MAGIC = b"IMOD"  # 0x444F4D49, little-endian
HEADER = struct.Struct("<4sII64sIBBBB32sI32sII20sB3xQBB62x")  # atc.md §3.7, field by field
HEADER_BYTES = 256
VERSION = 0x20000000
STANDARD_MODEL = 1
MODEL_DEF, WEIGHTS_DATA = 0, 1
MARK = b"AtlasFlow stand-in model, not for hardware: 1\n"
STAND_IN = "AtlasFlow stand-in"

# Error codes of the loader (docs/reference/atc.md §3.7 and pyacl.md §4.2).
PATH_INVALID = 145002
DATA_SIZE_INVALID = 145006
PARTITION_COUNT_INVALID = 145010
DEFINITION_FAILED = 545002
WEIGHTS_FAILED = 545003

GEAR_INPUT = "ascend_mbatch_shape_data"
ITEM_BYTES: Mapping[int, int] = {
    0: 4, 1: 2, 2: 1, 3: 4, 4: 1, 6: 2, 7: 2, 8: 4, 9: 8, 10: 8, 11: 8, 12: 1, 27: 2,
}  # fmt: skip
"""ACL dtype code → bytes an element (docs/reference/pyacl.md §4.2)."""
FORMATS: Mapping[str, int] = {"NCHW": 0, "NHWC": 1, "ND": 2}
"""ACL format codes of the layouts that a model's ends can have (docs/reference/pyacl.md §4.2)."""


class OmError(Corrupt):
    """A file cannot be loaded as an `.om`.

    Attributes:
        code: the code that pyACL's `acl.mdl.load_from_file` returns for it.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})", hint="compile the model again")
        self.code = code


@dataclass(frozen=True)
class OmTensor:
    """An input or output of a model.

    Attributes:
        name: an output's is `node:index:tensor`, as on files of the real ATC.
        dtype: ACL dtype code (0 float32, 1 float16, 4 uint8, 9 int64 …).
        dims: with dynamic gears an input's dynamic dimensions are -1; an output's are those of the largest gear.
        format: ACL format code (0 NCHW, 1 NHWC, 2 ND).
        size: bytes, at the largest gear.
    """

    name: str
    dtype: int
    dims: tuple[int, ...]
    format: int
    size: int


@dataclass(frozen=True)
class OmModel:
    """The description of a model in an `.om`. Of a real file only the header's `name` and `producer_version` are read.

    Attributes:
        name: the model's name (at most 31 bytes of UTF-8).
        soc_version: the target chip, such as `Ascend310`.
        producer: name of the compiler.
        producer_version: of the compiler.
        emulated: True for a stand-in's file.
        inputs: in order; with dynamic gears the last one is `ascend_mbatch_shape_data`.
        outputs: in order.
        onnx: the executable graph of an emulated file; empty for a real one.
        precision_mode: a value of `--precision_mode`.
        aipp: the AIPP settings applied, by input name; empty without AIPP.
        gears: the dynamic gears: one-element tuples for dynamic batch, (height, width) for dynamic image size,
            all dynamic dimensions for dynamic dims; empty for a static model.
        gear_kind: `batch`, `image`, `dims` or empty.
        options: the further ATC options, by name without dashes.
    """

    name: str
    soc_version: str
    producer: str
    producer_version: str
    emulated: bool
    inputs: tuple[OmTensor, ...] = ()
    outputs: tuple[OmTensor, ...] = ()
    onnx: bytes = field(default=b"", repr=False)
    precision_mode: str = ""
    aipp: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gears: tuple[tuple[int, ...], ...] = ()
    gear_kind: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def batch_gears(self) -> tuple[int, ...]:
        """The batch sizes of a model with dynamic batch, else empty."""
        return tuple(gear[0] for gear in self.gears) if self.gear_kind == "batch" else ()


def pack_om(model: OmModel) -> bytes:
    """The bytes of an emulated `.om`.

    Raises:
        ValueError: the model is not marked as emulated; only Huawei's ATC writes real files.
    """
    if not model.emulated:
        raise ValueError("only emulated models can be written here")
    definition = MARK + json.dumps(_to_json(model), sort_keys=True, ensure_ascii=False).encode(
        errors="backslashreplace"
    )
    partitions = [(MODEL_DEF, definition), (WEIGHTS_DATA, model.onnx)]
    table = struct.pack("<I4x", len(partitions))
    offset = 0
    for kind, data in partitions:
        table += struct.pack("<i4xQQ", kind, offset, len(data))
        offset += len(data)
    payload = table + b"".join(data for _, data in partitions)
    # `length` is the old 32-bit field; it is 0 when `model_length` is too large for it.
    length = len(payload) if len(payload) < 2**32 else 0
    header = HEADER.pack(
        MAGIC, HEADER_BYTES, VERSION, bytes(64), length, 0, 0, STANDARD_MODEL, 0,
        _text(model.name, 32), 0, _text(STAND_IN, 32), 0, 1, _text(model.producer_version, 20), 0,
        len(payload), 0, 0,
    )  # fmt: skip
    return header + payload


def write_om(path: Path, model: OmModel) -> None:
    """Write an emulated `.om` atomically; raises the errors of `pack_om`."""
    data = pack_om(model)
    with replacing(path, point="om") as temporary:
        temporary.write_bytes(data)


def read_om(path: Path) -> OmModel:
    """Load and check an `.om` as the real loader does; the contents of a real file are not read.

    Raises:
        OmError: with pyACL's code.
    """
    if not str(path) or not path.is_file():
        raise OmError(PATH_INVALID, f"there is no model file '{path}'")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OmError(PATH_INVALID, f"the model file '{path}' cannot be read: {error.strerror}") from error
    if not data:
        raise OmError(PATH_INVALID, f"the model file '{path}' is empty")
    return parse_om(data, str(path))


def parse_om(data: bytes, origin: str = "memory") -> OmModel:
    """Like `read_om`, for bytes in memory; errors name them `origin`."""
    if len(data) < HEADER_BYTES:
        raise OmError(DATA_SIZE_INVALID, f"{origin} is shorter than the header of an .om")
    fields = HEADER.unpack_from(data)
    magic, head_size, length, name, version, model_length = (fields[i] for i in (0, 1, 4, 9, 14, 16))
    if magic != MAGIC or head_size != HEADER_BYTES:
        raise OmError(DATA_SIZE_INVALID, f"{origin} does not start with the header of an .om")
    said = model_length or length
    if said != len(data) - HEADER_BYTES:
        raise OmError(DATA_SIZE_INVALID, f"{origin} should be {said + HEADER_BYTES} bytes long, not {len(data)}")
    partitions = _partitions(memoryview(data)[HEADER_BYTES:], wide=model_length != 0, origin=origin)
    definition = partitions.get(MODEL_DEF)
    if definition is None:
        raise OmError(DEFINITION_FAILED, f"{origin} has no model definition")
    if bytes(definition[: len(MARK)]) != MARK:
        return OmModel(_untext(name), "", "atc", _untext(version), emulated=False)
    weights = partitions.get(WEIGHTS_DATA)
    if weights is None:
        raise OmError(WEIGHTS_FAILED, f"{origin} has no weights")
    try:
        return _from_json(json.loads(bytes(definition[len(MARK) :])), bytes(weights))
    except (ValueError, KeyError, TypeError) as error:
        raise OmError(DEFINITION_FAILED, f"the model definition of {origin} is damaged: {error!r}") from error


def _partitions(payload: memoryview, *, wide: bool, origin: str) -> dict[int, memoryview]:
    """Partition type → bytes; offsets count from the end of the table."""
    entry = struct.Struct("<i4xQQ") if wide else struct.Struct("<iII")
    start = 8 if wide else 4
    count = struct.unpack_from("<I", payload)[0] if len(payload) >= start else 0
    base = start + count * entry.size
    if not 0 < count <= 64 or base > len(payload):
        raise OmError(PARTITION_COUNT_INVALID, f"the partition table of {origin} is damaged")
    found = {}
    for index in range(count):
        kind, offset, size = entry.unpack_from(payload, start + index * entry.size)
        if base + offset + size > len(payload):
            raise OmError(DATA_SIZE_INVALID, f"partition {kind} of {origin} goes beyond its end")
        found[kind] = payload[base + offset : base + offset + size]
    return found


def _to_json(model: OmModel) -> dict[str, Any]:
    return {
        "aipp": {name: dict(value) for name, value in model.aipp.items()},
        "emulated": True,
        "gear_kind": model.gear_kind,
        "gears": model.gears,
        "inputs": [vars(tensor) for tensor in model.inputs],
        "name": model.name,
        "options": dict(model.options),
        "outputs": [vars(tensor) for tensor in model.outputs],
        "precision_mode": model.precision_mode,
        "producer": model.producer,
        "producer_version": model.producer_version,
        "soc_version": model.soc_version,
    }


def _from_json(said: Mapping[str, Any], onnx: bytes) -> OmModel:
    if said["emulated"] is not True:
        raise ValueError("'emulated' is not true")
    ends = {
        end: tuple(OmTensor(**{**tensor, "dims": tuple(tensor["dims"])}) for tensor in said[end])
        for end in ("inputs", "outputs")
    }
    gears = tuple(tuple(gear) for gear in said["gears"])
    return OmModel(**{**said, **ends, "gears": gears, "onnx": onnx})


def _text(text: str, size: int) -> bytes:
    """A C string of at most `size` bytes with a final zero byte; a longer one is cut between characters."""
    return text.encode()[: size - 1].decode(errors="ignore").encode().ljust(size, b"\0")


def _untext(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="replace")
