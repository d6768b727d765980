"""Inputs and outputs of the graph: float16 inputs, output types, AIPP, and their descriptions in an `.om`."""

import math
from collections.abc import Collection, Mapping, Sequence

import onnx
from onnx import TensorProto, helper

from infra.atc.aipp import Aipp
from infra.atc.codes import AtcError
from infra.atc.emulator.aipp_graph import preprocessing
from infra.atc.emulator.graph import ACL_TYPES, check_names, inputs_of
from infra.atc.emulator.om import FORMATS, GEAR_INPUT, ITEM_BYTES, OmTensor
from infra.atc.emulator.shapes import Gears, at_gear

OUTPUT_TYPES: Mapping[str, int] = {
    "FP32": TensorProto.FLOAT, "FP16": TensorProto.FLOAT16, "UINT8": TensorProto.UINT8, "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16, "UINT16": TensorProto.UINT16, "INT32": TensorProto.INT32, "UINT32": TensorProto.UINT32,
    "INT64": TensorProto.INT64, "UINT64": TensorProto.UINT64, "DOUBLE": TensorProto.DOUBLE,
}  # fmt: skip
_INT64 = 9  # ACL code


def feed(model: onnx.ModelProto, name: str, value: onnx.ValueInfoProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Put `nodes` between a new input `value` and the graph's consumers of `name`.

    The nodes read `value.name`, which is `name`, and write `{name}__fed`.
    """
    graph = model.graph
    inputs_of(model)[name].CopyFrom(value)
    for node in graph.node:
        node.input[:] = [f"{name}__fed" if item == name else item for item in node.input]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def insert_aipp(
    model: onnx.ModelProto, configs: Sequence[Aipp], shapes: dict[str, tuple[int, ...]], layouts: dict[str, str]
) -> dict[str, Aipp]:
    """Put AIPP in front of the inputs that `related_input_rank` names, and change their shapes and layouts.

    Returns:
        Input name to configuration.

    Raises:
        AtcError: E10052 or E10055.
    """
    names = list(inputs_of(model))
    done: dict[str, Aipp] = {}
    for config in configs:
        rank = int(config.get("related_input_rank", 0))
        if not 0 <= rank < len(names) or names[rank] in done:
            raise AtcError("E10052", reason=f"related_input_rank {rank} is taken or beyond the {len(names)} inputs")
        name = names[rank]
        if inputs_of(model)[name].type.tensor_type.elem_type != TensorProto.FLOAT:
            raise AtcError("E10052", reason=f"input {name} is not float32")
        made = preprocessing(config, name, shapes[name], layouts[name])
        dims = [f"{name}_{index}" if dim == -1 else dim for index, dim in enumerate(made.dims)]
        feed(model, name, helper.make_tensor_value_info(name, TensorProto.UINT8, dims), made.nodes)
        model.graph.initializer.extend(made.constants)
        shapes[name], layouts[name], done[name] = made.dims, "NHWC", config
    return done


def half_inputs(model: onnx.ModelProto, text: str, with_aipp: Collection[str]) -> None:
    """Apply `--input_fp16_nodes`, `name;name`; E10016, E10017, E10034, or E10014 for an input that is not float32."""
    names = [name for name in text.split(";") if name]
    check_names(model, names, "input_fp16_nodes")
    for name in names:
        if name in with_aipp:
            raise AtcError("E10034", opname=name)
        value = onnx.ValueInfoProto()
        value.CopyFrom(inputs_of(model)[name])
        if value.type.tensor_type.elem_type != TensorProto.FLOAT:
            raise AtcError("E10014", value=name, parameter="input_fp16_nodes")
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
        feed(model, name, value, [helper.make_node("Cast", [name], [f"{name}__fed"], to=TensorProto.FLOAT)])


def output_types(model: onnx.ModelProto, text: str, out_nodes: str) -> None:
    """Apply `--output_type`: one type for all outputs, or `node:index:TYPE;…` for those of `--out_nodes`."""
    if not text:
        return
    outputs = list(model.graph.output)
    wanted: dict[str, str] = {}
    if ":" not in text:
        wanted = dict.fromkeys([value.name for value in outputs], text)
    else:
        places = dict(
            zip(filter(None, out_nodes.split(";")), [value.name for value in outputs], strict=bool(out_nodes))
        )
        for part in filter(None, text.split(";")):
            place, _, kind = part.rpartition(":")
            if place not in places:
                reason = f"{place} is not one of --out_nodes"
                raise AtcError("E10001", value=part, parameter="--output_type", reason=reason)
            wanted[places[place]] = kind
    for value in outputs:
        if value.name in wanted:
            _cast_output(model, value, wanted[value.name])


def _cast_output(model: onnx.ModelProto, value: onnx.ValueInfoProto, word: str) -> None:
    if word not in OUTPUT_TYPES:
        reason = f"it is one of {', '.join(OUTPUT_TYPES)}"
        raise AtcError("E10001", value=word, parameter="--output_type", reason=reason)
    kind = OUTPUT_TYPES[word]
    if value.type.tensor_type.elem_type == kind:
        return
    name = value.name
    for node in model.graph.node:
        node.input[:] = [f"{name}__own" if item == name else item for item in node.input]
        node.output[:] = [f"{name}__own" if item == name else item for item in node.output]
    model.graph.node.append(helper.make_node("Cast", [f"{name}__own"], [name], name=f"Output:{name}", to=kind))
    value.type.tensor_type.elem_type = kind


def describe_inputs(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], gears: Gears, layouts: Mapping[str, str]
) -> tuple[OmTensor, ...]:
    """The `.om`'s inputs, with the gear input of dynamic gears.

    Args:
        model: the finished graph.
        shapes: dimensions of each input, -1 for a dynamic one.
        gears: the gears.
        layouts: of each input.
    """
    largest = at_gear(shapes, gears, gears.largest) if gears.kind else shapes
    described = [
        OmTensor(name, dtype, shapes[name], FORMATS[_layout(layouts[name], shapes[name])], _bytes(dtype, largest[name]))
        for name, value in inputs_of(model).items()
        for dtype in (ACL_TYPES[value.type.tensor_type.elem_type],)
    ]
    if gears.kind:
        dims = (len(gears.values[0]),)
        described.append(OmTensor(GEAR_INPUT, _INT64, dims, FORMATS["ND"], _bytes(_INT64, dims)))
    return tuple(described)


def describe_outputs(
    model: onnx.ModelProto, names: Sequence[str], shapes: Sequence[tuple[int, ...]], layout: str
) -> tuple[OmTensor, ...]:
    """The `.om`'s outputs, with their `names`, and their `shapes` at the largest gear."""
    described = []
    for name, value, dims in zip(names, model.graph.output, shapes, strict=True):
        dtype = ACL_TYPES[value.type.tensor_type.elem_type]
        described.append(OmTensor(name, dtype, dims, FORMATS[_layout(layout, dims)], _bytes(dtype, dims)))
    return tuple(described)


def check_types(model: onnx.ModelProto, inferred: onnx.ModelProto) -> None:
    """Raise EZ3002 for an input or output whose type has no pyACL code; fills in the outputs' types."""
    for value, known in zip(model.graph.output, inferred.graph.output, strict=True):
        value.type.tensor_type.elem_type = known.type.tensor_type.elem_type
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type not in ACL_TYPES:
            raise AtcError("EZ3002", opname=value.name, optype="Data", reason="its element type is not supported")


def _layout(layout: str, dims: tuple[int, ...]) -> str:
    return layout if len(dims) == 4 and layout in FORMATS else "ND"


def _bytes(dtype: int, dims: Sequence[int]) -> int:
    return ITEM_BYTES[dtype] * math.prod(dims)
