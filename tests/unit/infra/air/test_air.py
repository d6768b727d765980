"""ONNX → AIR → ONNX: operators and attributes one by one, whole networks by their results, everything else refused."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infra.air.operators import OPERATORS
from infra.air.reader import UnknownOperatorError, operators, parse, to_onnx
from infra.air.schema import ModelDef
from infra.air.translations import TRANSLATIONS
from infra.air.writer import to_air, write_air
from infra.errors import Corrupt, UserError
from tests.unit.infra.atc.emulator.networks import lenet, model_of

RANDOM = np.random.default_rng(13)


def run(model: onnx.ModelProto, values: NDArray[Any]) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: NDArray[Any] = session.run(None, {session.get_inputs()[0].name: values})[0]
    return result


def single(
    kind: str,
    dims: Sequence[int | str] = (2, 3, 9, 8),
    weights: Mapping[str, NDArray[Any]] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one operator that takes `x` and the weights, and gives `y`."""
    weights = weights or {}
    node = helper.make_node(kind, ["x", *weights], ["y"], name="one", **attributes)
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)]
    ends.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    return model_of(
        [node], ends[:1], ends[1:], [numpy_helper.from_array(array, name) for name, array in weights.items()]
    )


def normal(*dims: int) -> NDArray[Any]:
    return RANDOM.normal(0, 1, dims).astype(np.float32)


def written(model: onnx.ModelProto, kind: str) -> dict[str, Any]:
    """The attributes of the operator of type `kind`, as plain values, without those of the engine's own."""
    (op,) = [op for op in parse(to_air(model)).graph[0].op if op.type == kind]
    values = {}
    for key, attribute in op.attr.items():
        if not key.startswith("_"):
            field = attribute.WhichOneof("value")
            value = getattr(attribute, field)
            values[key] = list(value.i) if field == "list" else value
    return values


WINDOW: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]}
POOL = {"ksize": [1, 1, 3, 2], "strides": [1, 1, 2, 1], "pads": [1, 2, 0, 1], "padding_mode": b"CALCULATED",
        "data_format": b"NCHW", "global_pooling": False}  # fmt: skip
CONV = {"w": normal(4, 3, 3, 2), "b": normal(4)}
NORM = {"scale": normal(3), "bias": normal(3), "mean": normal(3), "var": np.abs(normal(3))}
# ONNX model, type in AIR, names of its inputs, attributes as Huawei's definition of the operator has them.
CASES: Sequence[tuple[str, onnx.ModelProto, str, list[str], dict[str, Any]]] = [
    ("convolution", single("Conv", weights=CONV, **WINDOW, dilations=[1, 2]), "Conv2D", ["x", "filter", "bias"], {
        "strides": [1, 1, 2, 1], "pads": [1, 2, 0, 1], "dilations": [1, 1, 1, 2], "groups": 1, "data_format": b"NCHW",
        "offset_x": 0,
    }),
    ("grouped", single("Conv", weights={"w": normal(3, 1, 3, 3)}, group=3), "Conv2D", ["x", "filter"], {
        "strides": [1, 1, 1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1, 1, 1], "groups": 3, "data_format": b"NCHW",
        "offset_x": 0,
    }),
    ("same upper", single("Conv", weights=CONV, auto_pad="SAME_UPPER", strides=[2, 2]), "Conv2D",
     ["x", "filter", "bias"], {
        "strides": [1, 1, 2, 2], "pads": [1, 1, 0, 0], "dilations": [1, 1, 1, 1], "groups": 1, "data_format": b"NCHW",
        "offset_x": 0,
    }),
    ("norm", single("BatchNormalization", weights=NORM, epsilon=0.5), "BatchNorm",
     ["x", "scale", "offset", "mean", "variance"], {"epsilon": 0.5, "data_format": b"NCHW", "is_training": False}),
    ("relu", single("Relu"), "Relu", ["x"], {}),
    ("sigmoid", single("Sigmoid"), "Sigmoid", ["x"], {}),
    ("tanh", single("Tanh"), "Tanh", ["x"], {}),
    ("max", single("MaxPool", **WINDOW, ceil_mode=1), "MaxPoolV3", ["x"], {**POOL, "ceil_mode": True}),
    ("max lower", single("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_LOWER"), "MaxPoolV3", ["x"], {
        **POOL, "ksize": [1, 1, 2, 2], "strides": [1, 1, 1, 1], "pads": [1, 0, 1, 0], "ceil_mode": False,
    }),
    ("max valid", single("MaxPool", kernel_shape=[2, 2], auto_pad="VALID"), "MaxPoolV3", ["x"], {
        **POOL, "ksize": [1, 1, 2, 2], "strides": [1, 1, 1, 1], "pads": [0, 0, 0, 0], "ceil_mode": False,
    }),
    ("mean pool", single("AveragePool", **WINDOW), "AvgPoolV2", ["x"], {
        **POOL, "ceil_mode": False, "exclusive": True, "divisor_override": 0,
    }),
    ("mean pool with pads", single("AveragePool", **WINDOW, count_include_pad=1), "AvgPoolV2", ["x"], {
        **POOL, "ceil_mode": False, "exclusive": False, "divisor_override": 0,
    }),
    ("global mean", single("GlobalAveragePool"), "ReduceMean", ["x", "axes"], {
        "keep_dims": True, "noop_with_empty_axes": True,
    }),
    ("mean", single("ReduceMean", axes=[-1, 2], keepdims=0), "ReduceMean", ["x", "axes"], {
        "keep_dims": False, "noop_with_empty_axes": True,
    }),
    ("mean of all", single("ReduceMean"), "ReduceMean", ["x", "axes"], {
        "keep_dims": True, "noop_with_empty_axes": True,
    }),
    ("add", single("Add", weights={"b": normal(3, 1, 1)}), "Add", ["x1", "x2"], {}),
    ("product", single("Mul", weights={"b": normal(3, 1, 1)}), "Mul", ["x1", "x2"], {}),
    ("product with a number", single("Mul", weights={"b": normal()}), "Mul", ["x1", "x2"], {}),
    ("pad", single("Pad", weights={"p": np.array([0, 1, 0, 2, 0, 3, 1, 0])}), "Pad", ["x", "paddings"], {}),
    ("flatten", single("Flatten"), "FlattenV2", ["x"], {"axis": 1, "end_axis": -1}),
    ("reshape", single("Reshape", weights={"s": np.array([0, -1])}), "Reshape", ["x", "shape"], {
        "axis": 0, "num_axes": -1,
    }),
    ("gemm", single("Gemm", (2, 5), {"w": normal(4, 5), "b": normal(4)}, transB=1), "MatMulV2", ["x1", "x2", "bias"], {
        "transpose_x1": False, "transpose_x2": True, "offset_x": 0,
    }),
    ("gemm transposed", single("Gemm", (5, 2), {"w": normal(5, 4)}, transA=1), "MatMulV2", ["x1", "x2"], {
        "transpose_x1": True, "transpose_x2": False, "offset_x": 0,
    }),
    ("matmul", single("MatMul", (2, 5), {"w": normal(5, 4)}), "MatMulV2", ["x1", "x2"], {
        "transpose_x1": False, "transpose_x2": False, "offset_x": 0,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("model", "kind", "inputs", "attributes"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_each_operator_has_its_definition_and_computes_the_same(
    model: onnx.ModelProto, kind: str, inputs: list[str], attributes: dict[str, Any]
) -> None:
    data = to_air(model)
    (op,) = [op for op in parse(data).graph[0].op if op.type == kind]
    assert [description.name for description in op.input_desc] == inputs
    assert list(op.attr["_input_name_key"].list.s) == [name.encode() for name in inputs]
    assert list(op.attr["_input_name_value"].list.i) == list(range(len(inputs)))
    assert written(model, kind) == attributes
    values = normal(*(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim))
    back = to_onnx(data)
    onnx.checker.check_model(back, full_check=True)
    assert np.allclose(run(back, values), run(model, values), rtol=1e-6, atol=1e-7)


def test_every_translation_and_operator_is_among_the_cases() -> None:
    assert {model.graph.node[0].op_type for _, model, *_ in CASES} == set(TRANSLATIONS)
    assert {kind for _, _, kind, *_ in CASES} | {"Data", "Const", "NetOutput"} == set(OPERATORS)


def test_optional_inputs_and_the_outputs_of_batch_norm_are_named() -> None:
    ops = {op.type: op for op in parse(to_air(CASES[0][1])).graph[0].op}
    assert list(ops["Conv2D"].attr["_opt_input"].list.s) == [b"bias", b"offset_w"]
    ops = {op.type: op for op in parse(to_air(CASES[3][1])).graph[0].op}
    outputs = [description.name for description in ops["BatchNorm"].output_desc]
    assert outputs == ["y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2", "reserve_space_3"]
    assert [list(item.shape.dim) for item in ops["BatchNorm"].output_desc][:2] == [[2, 3, 9, 8], [3]]


def residual() -> onnx.ModelProto:
    """A small residual network with everything that ResNets have, and a fixed Reshape."""
    weights = {"c0": normal(4, 3, 3, 3), "c1": normal(4, 4, 3, 3), "f": normal(10, 8), "to": np.array([2, 8])}
    for index in range(2):
        weights |= {f"{name}{index}": normal(4) for name in ("g", "b", "m")} | {f"v{index}": np.abs(normal(4)) + 0.5}
    nodes = [
        helper.make_node("Conv", ["image", "c0"], ["1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["1", "g0", "b0", "m0", "v0"], ["2"]),
        helper.make_node("Relu", ["2"], ["3"]),
        helper.make_node("Conv", ["3", "c1"], ["4"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["4", "g1", "b1", "m1", "v1"], ["5"]),
        helper.make_node("Add", ["5", "3"], ["6"]),
        helper.make_node("Constant", [], ["wide"], value=numpy_helper.from_array(np.array([0, 2, 0, 0, 0, 2, 0, 0]))),
        helper.make_node("Pad", ["6", "wide"], ["7"]),
        helper.make_node("ReduceMean", ["7"], ["8"], axes=[2, 3], keepdims=0),
        helper.make_node("Reshape", ["8", "to"], ["9"]),
        helper.make_node("Gemm", ["9", "f"], ["logits"], transB=1),
    ]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 16, 16]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10]),
    ]
    return model_of(
        nodes, ends[:1], ends[1:], [numpy_helper.from_array(array, name) for name, array in weights.items()]
    )


@pytest.mark.parametrize(("model", "size"), [(residual(), 16), (lenet("n"), 32)], ids=["residual", "lenet"])
def test_networks_keep_their_results_and_the_names_of_their_ends(model: onnx.ModelProto, size: int) -> None:
    back = to_onnx(to_air(model, batch=2))
    assert [value.name for value in back.graph.input] == ["image"]
    assert [value.name for value in back.graph.output] == ["logits"]
    assert [dim.dim_value for dim in back.graph.input[0].type.tensor_type.shape.dim] == [2, 3, size, size]
    images = normal(2, 3, size, size)
    assert np.array_equal(run(back, images), run(model, images))


def test_the_bytes_are_stable_and_say_nothing_of_the_exporter() -> None:
    model = lenet()
    first = to_air(model)
    model.producer_name, model.doc_string = "somebody", "at noon"
    assert to_air(model) == first


def test_files_are_translated_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(lenet("n").SerializeToString())
    write_air(tmp_path / "net.onnx", tmp_path / "net.air", batch=4)
    assert (tmp_path / "net.air").read_bytes() == to_air(lenet(4))
    (tmp_path / "bad.onnx").write_bytes(b"this is no ONNX")
    (tmp_path / "other.onnx").write_bytes(single("Softmax").SerializeToString())
    for name in ("bad.onnx", "none.onnx", "other.onnx"):
        with pytest.raises(UserError):
            write_air(tmp_path / name, tmp_path / "made.air")
    assert not (tmp_path / "made.air").exists()


def _changed(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    change(model)
    return model


REFUSED = [
    ("Softmax", single("Softmax")),
    ("Relu (one)", _changed(single("Relu"), lambda model: setattr(model.graph.node[0], "domain", "ours"))),
    ("more than one output", _changed(single("MaxPool", kernel_shape=[2, 2]), lambda model: (
        model.graph.node[0].output.append("places")))),
    ("Constant", _changed(single("Relu"), lambda model: model.graph.node.append(
        helper.make_node("Constant", [], ["c"], value_float=1.0)))),
    ("window has 1", single("Conv", (2, 3, 9), {"w": normal(4, 3, 3)})),
    ("dilations", single("MaxPool", kernel_shape=[2, 2], dilations=[2, 2])),
    ("axis is not 1", single("Flatten", axis=2)),
    ("alpha", single("Gemm", (2, 5), {"w": normal(5, 4)}, alpha=0.5)),
    ("not a vector", single("Gemm", (2, 5), {"w": normal(5, 4), "b": normal(2, 4)})),
    ("not matrices", single("MatMul", (1, 2, 5), {"w": normal(5, 4)})),
    ("constant widths", single("Pad", weights={"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, mode="reflect")),
    ("than zeros", single("Pad", weights={"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.array(1, np.float32)})),
    ("is open", single("Relu", ("n", 3, "h", "w"))),
    ("STRING", _changed(single("Relu"), lambda model: model.graph.initializer.append(
        helper.make_tensor("words", TensorProto.STRING, [1], [b"a"])))),
    ("inconsistent", single("Add", weights={"b": normal(7)})),
]  # fmt: skip


@pytest.mark.parametrize(("word", "model"), REFUSED, ids=[word for word, _ in REFUSED])
def test_untranslatable_operators_are_refused_by_name(word: str, model: onnx.ModelProto) -> None:
    with pytest.raises(UserError) as caught:
        to_air(model)
    assert word in caught.value.message


def test_a_computed_shape_is_refused() -> None:
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Reshape", ["x", "s"], ["y"], name="again")]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("x", "y")]
    with pytest.raises(UserError, match="Shape"):
        to_air(model_of(nodes, ends[:1], ends[1:]))


def damaged(change: Callable[[Any], object]) -> bytes:
    """AIR of LeNet5 with something changed: `change` gets operators by name."""
    model = parse(to_air(lenet()))
    change({op.name: op for op in model.graph[0].op})
    content: bytes = model.SerializeToString()
    return content


NO_AIR = [
    ("empty", b""),
    ("text", b"this is no AIR"),
    ("ONNX", lenet().SerializeToString()),
    ("cut", to_air(lenet())[:5000]),
    ("no operators", ModelDef(name="a").SerializeToString()),
    ("an operator without type", damaged(lambda ops: ops["a1"].ClearField("type"))),
]


@pytest.mark.parametrize("data", [case[1] for case in NO_AIR], ids=[case[0] for case in NO_AIR])
def test_bytes_that_are_no_air_are_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt, match="not AIR"):
        operators(data)


DAMAGED: Sequence[tuple[str, Callable[[Any], object]]] = [
    ("no output", lambda ops: ops["a1"].input.__setitem__(0, "nowhere:0")),
    ("no output", lambda ops: ops["a1"].input.__setitem__(0, "image:1")),
    ("no output", lambda ops: ops["a1"].input.__setitem__(0, "image")),
    ("itself", lambda ops: ops["a1"].input.__setitem__(0, "logits:0")),
    ("strides", lambda ops: ops["a1"].attr.pop("strides")),
    ("damaged", lambda ops: ops["a1"].attr["pads"].list.i.append(1)),
    ("damaged", lambda ops: setattr(ops["c1"].attr["value"].t, "data", b"1234")),
    ("damaged", lambda ops: setattr(ops["c1"].attr["value"].t.desc, "dtype", 26)),
    ("input or no output", lambda ops: ops["NetOutput"].ClearField("input")),
]


@pytest.mark.parametrize(("word", "change"), DAMAGED)
def test_graphs_that_do_not_fit_together_are_corrupt(word: str, change: Callable[[Any], object]) -> None:
    with pytest.raises(Corrupt) as caught:
        to_onnx(damaged(change))
    assert word in caught.value.message


def _set(name: str, key: str, **value: object) -> Callable[[Any], object]:
    def change(ops: Any) -> None:
        for field, content in value.items():
            setattr(ops[name].attr[key], field, content)

    return change


UNTRANSLATED: Sequence[tuple[str, Callable[[Any], object]]] = [
    ("data_format", _set("a1", "data_format", s=b"NHWC")),
    ("strides", lambda ops: ops["a1"].attr["strides"].list.i.__setitem__(0, 2)),
    ("padding_mode", _set("p1", "padding_mode", s=b"SAME")),
    ("global", _set("p1", "global_pooling", b=True)),
    ("batch", _set("flat", "axis", i=2)),
    ("quantised", lambda ops: ops["d1"].input.append("image:0")),
]


@pytest.mark.parametrize(("word", "change"), UNTRANSLATED)
def test_attributes_that_are_not_translated_are_refused(word: str, change: Callable[[Any], object]) -> None:
    with pytest.raises(UserError) as caught:
        to_onnx(damaged(change))
    assert word in caught.value.message


def test_an_unknown_operator_is_named() -> None:
    data = damaged(lambda ops: setattr(ops["a1"], "type", "Convolute"))
    with pytest.raises(UnknownOperatorError) as caught:
        to_onnx(data)
    assert (caught.value.name, caught.value.kind) == ("a1", "Convolute")
    assert ("a1", "Convolute", False) in operators(data)


def test_attributes_that_are_left_out_have_their_defaults() -> None:
    def change(ops: Any) -> None:
        for key in ("dilations", "groups", "offset_x"):
            ops["a1"].attr.pop(key)
        for key in ("axis", "end_axis"):
            ops["flat"].attr.pop(key)

    images = normal(1, 3, 32, 32)
    assert np.array_equal(run(to_onnx(damaged(change)), images), run(lenet(), images))


def test_operators_may_come_in_any_order_and_without_a_net_output() -> None:
    model = parse(to_air(lenet()))
    kept = [op for op in model.graph[0].op if op.type != "NetOutput"]
    del model.graph[0].op[:]
    model.graph[0].op.extend(reversed(kept))
    images = normal(1, 3, 32, 32)
    assert np.array_equal(run(to_onnx(model.SerializeToString()), images), run(lenet(), images))
