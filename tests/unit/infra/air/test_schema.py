"""The schema, number by number; the bytes decoded by protoc with another schema, and by plain wire rules."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.air.schema import DATA_TYPES, LIST_TYPES, MESSAGES, ModelDef, descriptor
from infra.air.writer import to_air
from tests.unit.infra.atc.emulator.networks import lenet

# Written by hand from the public definition, not from our table: message → field → number.
NUMBERS = {
    "ModelDef": {"name": 1, "version": 2, "custom_version": 3, "graph": 7, "attr": 11},
    "GraphDef": {"name": 1, "input": 4, "output": 5, "op": 6, "attr": 11},
    "OpDef": {
        "name": 1, "type": 2, "input": 5, "attr": 10, "has_out_attr": 20, "id": 21, "stream_id": 22, "input_name": 23,
        "src_name": 24, "src_index": 25, "dst_name": 26, "dst_index": 27, "input_i": 28, "output_i": 29,
        "workspace": 30, "workspace_bytes": 31, "is_input_const": 32, "input_desc": 33, "output_desc": 34,
        "subgraph_name": 35,
    },
    "TensorDescriptor": {
        "name": 1, "dtype": 2, "shape": 3, "layout": 4, "attr": 5, "has_out_attr": 9, "size": 10, "weight_size": 11,
        "reuse_input": 12, "output_tensor": 13, "device_type": 14, "input_tensor": 15, "real_dim_cnt": 16,
        "reuse_input_index": 17, "data_offset": 18, "cmps_size": 19, "cmps_tab": 20, "cmps_tab_offset": 21,
    },
    "TensorDef": {"desc": 1, "data": 2},
    "ShapeDef": {"dim": 1},
    "NamedAttrs": {"name": 1, "attr": 2},
    "AttrDef": {
        "list": 1, "s": 2, "i": 3, "f": 4, "b": 5, "bt": 7, "func": 10, "td": 11, "t": 12, "g": 13,
        "list_list_int": 14, "dt": 15, "list_list_float": 16,
    },
    "AttrDef.ListValue": {
        "s": 2, "i": 3, "f": 4, "b": 5, "bt": 7, "td": 8, "t": 9, "g": 10, "na": 11, "dt": 12, "val_type": 20,
    },
    "AttrDef.ListListInt": {"list_list_i": 1},
    "AttrDef.ListListInt.ListInt": {"list_i": 1},
    "AttrDef.ListListFloat": {"list_list_f": 1},
    "AttrDef.ListListFloat.ListFloat": {"list_f": 1},
}  # fmt: skip
FIELDS = [(message, field, number) for message, fields in NUMBERS.items() for field, number in fields.items()]


@pytest.mark.parametrize(("message", "field", "number"), FIELDS, ids=[f"{m}.{f}" for m, f, _ in FIELDS])
def test_each_field_has_its_number(message: str, field: str, number: int) -> None:
    assert descriptor(message).fields_by_name[field].number == number


def test_the_schema_has_exactly_these_fields() -> None:
    assert set(MESSAGES) == set(NUMBERS)
    for message, fields in NUMBERS.items():
        assert set(descriptor(message).fields_by_name.keys()) == set(fields)


def test_the_enumerations_have_their_numbers() -> None:
    numbers = dict(DATA_TYPES)
    assert numbers == {
        "DT_UNDEFINED": 0, "DT_FLOAT": 1, "DT_FLOAT16": 2, "DT_INT8": 3, "DT_UINT8": 4, "DT_INT16": 5, "DT_UINT16": 6,
        "DT_INT32": 7, "DT_INT64": 8, "DT_UINT32": 9, "DT_UINT64": 10, "DT_BOOL": 11, "DT_DOUBLE": 12, "DT_STRING": 13,
    }  # fmt: skip
    words = ["NONE", "STRING", "INT", "FLOAT", "BOOL", "BYTES", "TENSOR_DESC", "TENSOR", "GRAPH", "NAMED_ATTRS"]
    assert list(LIST_TYPES) == [f"VT_LIST_{word}" for word in [*words, "DATA_TYPE"]]
    assert list(LIST_TYPES.values()) == list(range(11))
    assert descriptor("TensorDescriptor").fields_by_name["dtype"].enum_type.values_by_name["DT_INT64"].number == 8


def test_scalars_have_the_types_of_the_definition() -> None:
    kinds = {
        ("ModelDef", "version"): "TYPE_UINT32", ("AttrDef", "s"): "TYPE_BYTES", ("AttrDef", "i"): "TYPE_INT64",
        ("AttrDef", "f"): "TYPE_FLOAT", ("AttrDef", "b"): "TYPE_BOOL", ("TensorDef", "data"): "TYPE_BYTES",
        ("OpDef", "id"): "TYPE_INT64", ("ShapeDef", "dim"): "TYPE_INT64", ("TensorDescriptor", "dtype"): "TYPE_ENUM",
        ("AttrDef.ListValue", "s"): "TYPE_BYTES", ("AttrDef.ListValue", "val_type"): "TYPE_ENUM",
    }  # fmt: skip
    for (message, field), kind in kinds.items():
        found = descriptor(message).fields_by_name[field]
        assert found.type == getattr(found, kind), f"{message}.{field}"
    assert {field.name for field in descriptor("AttrDef").oneofs_by_name["value"].fields} == set(NUMBERS["AttrDef"])


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[place] & 0x7F) << shift
        place += 1
        if data[place - 1] < 0x80:
            return value, place
        shift += 7


def wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value of each field, by protobuf's wire rules and nothing else."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        match key & 7:
            case 0:
                value, place = _varint(data, place)
                yield key >> 3, value
            case 2:
                size, place = _varint(data, place)
                yield key >> 3, data[place : place + size]
                place += size
            case 5:
                yield key >> 3, data[place : place + 4]
                place += 4
            case kind:
                raise AssertionError(f"wire type {kind}")


def only(data: bytes, number: int) -> list[Any]:
    return [value for found, value in wire(data) if found == number]


def test_the_bytes_hold_a_convolution_where_the_numbers_say() -> None:
    model = to_air(lenet(2))
    (graph,) = only(model, 7)
    assert only(graph, 4) == [b"image:0"]
    assert only(graph, 5) == [b"logits:0"]
    operators = only(graph, 6)
    kinds = [only(op, 2)[0] for op in operators]
    assert kinds[:3] == [b"Data", b"Const", b"Conv2D"]
    assert kinds[-1] == b"NetOutput"
    convolution = operators[2]
    assert only(convolution, 1) == [b"a1"]
    assert only(convolution, 5) == [b"image:0", b"c1:0"]
    attributes = {only(entry, 1)[0]: only(entry, 2)[0] for entry in only(convolution, 10)}
    assert only(attributes[b"groups"], 3) == [1]
    assert only(attributes[b"data_format"], 2) == [b"NCHW"]
    (strides,) = only(attributes[b"strides"], 1)
    assert only(strides, 3) == [b"\x01\x01\x01\x01"]  # packed
    assert only(strides, 20) == [2]  # VT_LIST_INT
    image, weights = only(convolution, 33)
    assert only(image, 1) == [b"x"]
    assert only(image, 2) == [1]  # DT_FLOAT
    assert only(only(image, 3)[0], 1) == [b"\x02\x03\x20\x20"]
    assert only(image, 4) == [b"NCHW"]
    assert only(weights, 1) == [b"filter"]
    constant = {only(entry, 1)[0]: only(entry, 2)[0] for entry in only(operators[1], 10)}
    (tensor,) = only(constant[b"value"], 12)
    assert len(only(tensor, 2)[0]) == 6 * 3 * 5 * 5 * 4


# A second schema, with names of its own: only the numbers and types are the format's.
PROTO = """
syntax = "proto3";
package other;
message Shape { repeated int64 size = 1; }
message Tensor { string role = 1; int32 kind = 2; Shape shape = 3; string layout = 4; }
message Values { Tensor about = 1; bytes raw = 2; }
message Numbers { repeated bytes text = 2; repeated int64 whole = 3; repeated float real = 4; int32 kind = 20; }
message Attribute {
  oneof one { Numbers many = 1; bytes text = 2; int64 whole = 3; float real = 4; bool truth = 5; Values values = 12; }
}
message Operator {
  string title = 1;
  string kind = 2;
  repeated string source = 5;
  map<string, Attribute> attributes = 10;
  int64 place = 21;
  repeated Tensor takes = 33;
  repeated Tensor gives = 34;
}
message Graph {
  string title = 1;
  repeated string first = 4;
  repeated string last = 5;
  repeated Operator operators = 6;
}
message Model { string title = 1; uint32 version = 2; string own_version = 3; repeated Graph graphs = 7; }
"""


@pytest.mark.skipif(shutil.which("protoc") is None, reason="protoc is not installed (Debian: protobuf-compiler)")
def test_protoc_decodes_every_field_with_another_schema(tmp_path: Path) -> None:
    (tmp_path / "other.proto").write_text(PROTO)
    done = subprocess.run(
        ["protoc", "--decode=other.Model", f"--proto_path={tmp_path}", "other.proto"],
        input=to_air(lenet()), capture_output=True, check=True,
    )  # fmt: skip
    lines = [line.strip() for line in done.stdout.decode().splitlines()]
    assert not [line for line in lines if line.split(":")[0].isdigit() or line.split(" {")[0].isdigit()], (
        "unknown fields"
    )
    for expected in (
        'kind: "MatMulV2"',
        'source: "image:0"',
        'first: "image:0"',
        'last: "logits:0"',
        'key: "transpose_x2"',
    ):
        assert expected in lines
    assert lines.count('kind: "Conv2D"') == 2


def test_the_message_survives_a_round_trip() -> None:
    data = to_air(lenet())
    assert ModelDef.FromString(data).SerializeToString(deterministic=True) == data
