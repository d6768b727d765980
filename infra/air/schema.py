"""The protobuf schema `ge.proto` of an AIR file, built in memory: no generated code (docs/reference/atc.md §3.6).

An AIR file is one serialized `ModelDef`. Field numbers and enumerations are those of Huawei's public `ge_ir.proto`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "ge.proto"

DATA_TYPES: Mapping[str, int] = {
    "DT_UNDEFINED": 0, "DT_FLOAT": 1, "DT_FLOAT16": 2, "DT_INT8": 3, "DT_UINT8": 4, "DT_INT16": 5, "DT_UINT16": 6,
    "DT_INT32": 7, "DT_INT64": 8, "DT_UINT32": 9, "DT_UINT64": 10, "DT_BOOL": 11, "DT_DOUBLE": 12, "DT_STRING": 13,
}  # fmt: skip
"""The enumeration `DataType` as far as tensors of networks go; it is neither ACL's nor ONNX's."""
LIST_TYPES: Mapping[str, int] = {
    "VT_LIST_NONE": 0, "VT_LIST_STRING": 1, "VT_LIST_INT": 2, "VT_LIST_FLOAT": 3, "VT_LIST_BOOL": 4, "VT_LIST_BYTES": 5,
    "VT_LIST_TENSOR_DESC": 6, "VT_LIST_TENSOR": 7, "VT_LIST_GRAPH": 8, "VT_LIST_NAMED_ATTRS": 9,
    "VT_LIST_DATA_TYPE": 10,
}  # fmt: skip
"""The enumeration `AttrDef.ListValue.ListValueType`."""

# Message → fields, each `[repeated|map|one] type name = number`; `one` belongs to the oneof `value`.
MESSAGES: Mapping[str, Sequence[str]] = {
    "AttrDef.ListValue": (
        "repeated bytes s = 2", "repeated int64 i = 3", "repeated float f = 4", "repeated bool b = 5",
        "repeated bytes bt = 7", "repeated TensorDescriptor td = 8", "repeated TensorDef t = 9",
        "repeated GraphDef g = 10", "repeated NamedAttrs na = 11", "repeated int64 dt = 12",
        "AttrDef.ListValue.ListValueType val_type = 20",
    ),
    "AttrDef.ListListInt.ListInt": ("repeated int64 list_i = 1",),
    "AttrDef.ListListInt": ("repeated AttrDef.ListListInt.ListInt list_list_i = 1",),
    "AttrDef.ListListFloat.ListFloat": ("repeated float list_f = 1",),
    "AttrDef.ListListFloat": ("repeated AttrDef.ListListFloat.ListFloat list_list_f = 1",),
    "AttrDef": (
        "one AttrDef.ListValue list = 1", "one bytes s = 2", "one int64 i = 3", "one float f = 4", "one bool b = 5",
        "one bytes bt = 7", "one NamedAttrs func = 10", "one TensorDescriptor td = 11", "one TensorDef t = 12",
        "one GraphDef g = 13", "one AttrDef.ListListInt list_list_int = 14", "one int64 dt = 15",
        "one AttrDef.ListListFloat list_list_float = 16",
    ),
    "NamedAttrs": ("string name = 1", "map AttrDef attr = 2"),
    "ShapeDef": ("repeated int64 dim = 1",),
    "TensorDescriptor": (
        "string name = 1", "DataType dtype = 2", "ShapeDef shape = 3", "string layout = 4", "map AttrDef attr = 5",
        "bool has_out_attr = 9", "int64 size = 10", "int64 weight_size = 11", "bool reuse_input = 12",
        "bool output_tensor = 13", "string device_type = 14", "bool input_tensor = 15", "int64 real_dim_cnt = 16",
        "int64 reuse_input_index = 17", "int64 data_offset = 18", "int64 cmps_size = 19", "string cmps_tab = 20",
        "int64 cmps_tab_offset = 21",
    ),
    "TensorDef": ("TensorDescriptor desc = 1", "bytes data = 2"),
    "OpDef": (
        "string name = 1", "string type = 2", "repeated string input = 5", "map AttrDef attr = 10",
        "bool has_out_attr = 20", "int64 id = 21", "int64 stream_id = 22", "repeated string input_name = 23",
        "repeated string src_name = 24", "repeated int64 src_index = 25", "repeated string dst_name = 26",
        "repeated int64 dst_index = 27", "repeated int64 input_i = 28", "repeated int64 output_i = 29",
        "repeated int64 workspace = 30", "repeated int64 workspace_bytes = 31", "repeated bool is_input_const = 32",
        "repeated TensorDescriptor input_desc = 33", "repeated TensorDescriptor output_desc = 34",
        "repeated string subgraph_name = 35",
    ),
    "GraphDef": (
        "string name = 1", "repeated string input = 4", "repeated string output = 5", "repeated OpDef op = 6",
        "map AttrDef attr = 11",
    ),
    "ModelDef": (
        "string name = 1", "uint32 version = 2", "string custom_version = 3", "repeated GraphDef graph = 7",
        "map AttrDef attr = 11",
    ),
}  # fmt: skip
_FIELD = re.compile(r"((?P<label>repeated|map|one) )?(?P<type>[\w.]+) (?P<name>\w+) = (?P<number>\d+)")
_Field = descriptor_pb2.FieldDescriptorProto
_ENUMS = {"DataType": DATA_TYPES, "AttrDef.ListValue.ListValueType": LIST_TYPES}


def _build() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="atlasflow/ge_ir.proto", package=PACKAGE, syntax="proto3")
    messages: dict[str, Any] = {}
    for path in sorted(MESSAGES, key=lambda path: path.count(".")):
        parent, _, name = path.rpartition(".")
        messages[path] = (messages[parent].nested_type if parent else file.message_type).add(name=name)
    for path, values in _ENUMS.items():
        parent, _, name = path.rpartition(".")
        kind = (messages[parent] if parent else file).enum_type.add(name=name)
        for word, number in values.items():
            kind.value.add(name=word, number=number)
    for path, fields in MESSAGES.items():
        for text in fields:
            _add_field(messages[path], path, text)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _add_field(message: Any, path: str, text: str) -> None:
    match = _FIELD.fullmatch(text)
    assert match is not None, text  # noqa: S101 - the table above is ours
    label, kind, name = match["label"], match["type"], match["name"]
    field = message.field.add(name=name, number=int(match["number"]))
    field.label = _Field.LABEL_REPEATED if label in ("repeated", "map") else _Field.LABEL_OPTIONAL
    if label == "one":
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        field.oneof_index = 0
    if label == "map":
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
        value = entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL)
        _set_type(value, kind)
        kind = f"{path}.{entry.name}"
    _set_type(field, kind)


def _set_type(field: Any, kind: str) -> None:
    scalar = getattr(_Field, f"TYPE_{kind.upper()}", None)
    if scalar is not None:
        field.type = scalar
        return
    field.type = _Field.TYPE_ENUM if kind in _ENUMS else _Field.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{kind}"


_POOL = _build()
ModelDef: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.ModelDef"))
"""The class of an AIR file's message."""


def descriptor(name: str) -> Any:
    """The descriptor of a message, such as `AttrDef.ListValue`."""
    return _POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")
