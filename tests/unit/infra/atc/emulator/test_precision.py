"""The precision modes against an independent numpy computation; the graph runs in ONNX Runtime, as on a board."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infra.atc.emulator.compiler import compile_model
from infra.atc.emulator.om import OmModel
from tests.unit.infra.atc.emulator.networks import lenet, model_of, saved, weights_of

Array = NDArray[Any]


def half(values: Array) -> Array:
    """Round to float16 and back."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float16).astype(np.float32)


def same(values: Array) -> Array:
    return np.asarray(values, np.float32)


def conv(values: Array, weights: Array) -> Array:
    """A valid convolution, as sums in float64 (so its own rounding is far below float16's)."""
    windows = np.lib.stride_tricks.sliding_window_view(values.astype(np.float64), weights.shape[2:], cast(Any, (2, 3)))
    sums: Array = np.einsum("nchwij,ocij->nohw", windows, weights.astype(np.float64))
    return sums.astype(np.float32)


def pool(values: Array) -> Array:
    batch, channels, height, width = values.shape
    largest: Array = values.reshape(batch, channels, height // 2, 2, width // 2, 2).max((3, 5))
    return largest


def dense(values: Array, weights: Array, bias: Array) -> Array:
    return (values.astype(np.float64) @ weights.astype(np.float64).T + bias).astype(np.float32)


def reference(image: Array, weights: dict[str, Array], takes: Any = half, gives: Any = half, bias: Any = half) -> Array:
    """LeNet5 where cube operators round their inputs with `takes` and their results with `gives`."""
    values: Array = takes(image)
    for name in ("c1", "c2"):
        values = pool(np.maximum(gives(conv(takes(values), takes(weights[name]))), 0))
    values = values.reshape(len(values), -1)
    for name in ("f1", "f2", "f3"):
        values = gives(dense(takes(values), takes(weights[name]), bias(weights[f"{name}_b"])))
    return values


def run(model: OmModel, **inputs: Array) -> Array:
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    result: Array = session.run(None, inputs)[0]
    return result


def compiled(network: onnx.ModelProto, folder: Path, **options: str) -> OmModel:
    path = saved(network, folder / "net.onnx")
    given = {"model": str(path), "framework": "5", "output": "net", "soc_version": "Ascend310", **options}
    return compile_model(given, "version", lambda _warning: None).om


IMAGES = np.random.default_rng(7).normal(0, 1, (16, 3, 32, 32)).astype(np.float32)
MODES = {
    "force_fp16": (half, half, half),
    "allow_mix_precision": (half, half, half),
    "allow_fp32_to_fp16": (half, half, half),
    "force_fp32": (half, same, same),
    "cube_fp16in_fp32out": (half, same, same),
    "must_keep_origin_dtype": (same, same, same),
}


@pytest.mark.parametrize("mode", MODES)
def test_lenet_computes_in_the_precision_of_the_mode(mode: str, tmp_path: Path) -> None:
    network = lenet(16)
    got = run(compiled(network, tmp_path, precision_mode=mode), image=IMAGES)
    expected = reference(IMAGES, weights_of(network), *MODES[mode])
    # float32 sums in another order may tip single values over to the next float16 (2^-11 of them, once a layer).
    limit = np.abs(expected).max() * (2**-9 if mode != "must_keep_origin_dtype" else 1e-6)
    assert np.abs(got - expected).max() <= limit
    exact = np.mean(got == expected)
    if MODES[mode][1] is half:
        assert exact > 0.5, "most results are the very same float16"


def test_the_modes_differ_as_documented(tmp_path: Path) -> None:
    network = lenet(16)
    origin = run(compiled(network, tmp_path, precision_mode="must_keep_origin_dtype"), image=IMAGES)
    cube = run(compiled(network, tmp_path, precision_mode="force_fp32"), image=IMAGES)
    full = run(compiled(network, tmp_path), image=IMAGES)
    assert 0 < np.abs(cube - origin).max() < np.abs(full - origin).max() < 0.05 * np.abs(origin).max()
    assert np.array_equal(full, half(full)), "the results of force_fp16 are numbers of float16"


@pytest.mark.parametrize(
    ("new", "old"),
    [("fp16", "force_fp16"), ("origin", "must_keep_origin_dtype"), ("mixed_float16", "allow_mix_precision_fp16")],
)
def test_the_second_option_has_the_same_modes(new: str, old: str, tmp_path: Path) -> None:
    first = compiled(lenet(), tmp_path, precision_mode_v2=new)
    second = compiled(lenet(), tmp_path, precision_mode=old)
    assert (first.precision_mode, first.onnx) == (old, second.onnx)


def test_weights_are_stored_as_float16(tmp_path: Path) -> None:
    full = compiled(lenet(), tmp_path, precision_mode="must_keep_origin_dtype")
    assert len(compiled(lenet(), tmp_path).onnx) < 0.55 * len(full.onnx)


def test_rounding_is_to_nearest_with_ties_to_even_over_the_whole_range(tmp_path: Path) -> None:
    """Every number of float16, every middle between two, and their neighbours in float32: 380,000 values."""
    numbers = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    middles = (numbers[:-1] + numbers[1:]) / 2
    edges = np.array([65504, 65519.99, 65520, 1e30, np.inf], np.float32)
    values = np.concatenate([numbers, middles, edges])
    values = np.concatenate([values, np.nextafter(values, np.float32(0)), np.nextafter(values, np.float32(np.inf))])
    values = np.concatenate([values, -values])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [len(values)]) for name in ("x", "y")]
    network = model_of([helper.make_node("Identity", ["x"], ["y"], name="same")], ends[:1], ends[1:])
    got = run(compiled(network, tmp_path), x=values)
    assert np.array_equal(got, half(values))


def test_values_beyond_float16_become_infinite(tmp_path: Path) -> None:
    network = lenet()
    image = np.full((1, 3, 32, 32), 70_000, np.float32)
    assert not np.isfinite(run(compiled(network, tmp_path), image=image)).all()
    kept = run(compiled(network, tmp_path, precision_mode="must_keep_origin_dtype"), image=image)
    assert np.isfinite(kept).all()


def test_a_weight_beyond_float16_becomes_infinite_without_a_warning(tmp_path: Path) -> None:
    network = lenet()
    tensor = next(tensor for tensor in network.graph.initializer if tensor.name == "f3_b")
    tensor.CopyFrom(numpy_helper.from_array(np.full(10, 1e6, np.float32), "f3_b"))
    assert np.isinf(run(compiled(network, tmp_path), image=IMAGES[:1])).all()


def _softmax_of_a_product() -> onnx.ModelProto:
    weights = np.random.default_rng(3).normal(0, 1, (8, 8)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], name="product"),
        helper.make_node("Softmax", ["product"], ["chance"], name="softmax", axis=1),
        helper.make_node("Mul", ["chance", "chance"], ["y"], name="square"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 8]) for name in ("x", "y")]
    return model_of(nodes, ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])


def test_mixed_precision_keeps_sensitive_operators_in_float32(tmp_path: Path) -> None:
    network = _softmax_of_a_product()
    values = np.random.default_rng(4).normal(0, 1, (4, 8)).astype(np.float32)
    product = half(half(values) @ half(weights_of(network)["w"]))
    powers = np.exp(product - product.max(1, keepdims=True))
    chance = powers / powers.sum(1, keepdims=True)
    expected = {
        "allow_mix_precision": half(half(chance) ** 2),
        "force_fp16": half(half(chance) ** 2),
        "allow_fp32_to_fp16": chance**2,
    }
    for mode, wanted in expected.items():
        got = run(compiled(network, tmp_path, precision_mode=mode), x=values)
        assert np.allclose(got, wanted, rtol=2**-10, atol=1e-7), mode
    types = [node.op_type for node in onnx.load_from_string(compiled(network, tmp_path).onnx).graph.node]
    assert types[types.index("Softmax") + 1] == "Cast"
    kept = onnx.load_from_string(compiled(network, tmp_path, precision_mode="allow_fp32_to_fp16").onnx).graph.node
    assert [node.op_type for node in kept][-2:] == ["Softmax", "Mul"]


def test_half_inputs_and_outputs_change_the_ends_only(tmp_path: Path) -> None:
    network = lenet(16)
    plain = run(compiled(network, tmp_path), image=IMAGES)
    model = compiled(network, tmp_path, input_fp16_nodes="image", output_type="FP16")
    assert [tensor.dtype for tensor in (*model.inputs, *model.outputs)] == [1, 1]
    assert model.inputs[0].size == 16 * 3 * 32 * 32 * 2
    got = run(model, image=IMAGES.astype(np.float16))
    assert got.dtype == np.float16
    assert np.array_equal(got.astype(np.float32), plain)


def test_a_tensor_that_is_output_and_used_again_stays_one(tmp_path: Path) -> None:
    model = compiled(lenet(16), tmp_path, out_nodes="dense2:0;dense3:0", output_type="dense2:0:FP16")
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    middle, logits = session.run(None, {"image": IMAGES})
    assert middle.dtype == np.float16
    assert np.array_equal(logits, run(compiled(lenet(16), tmp_path), image=IMAGES))


def test_initializers_that_are_listed_as_inputs_are_weights(tmp_path: Path) -> None:
    network = lenet()
    for tensor in network.graph.initializer:
        network.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    model = compiled(network, tmp_path)
    assert [tensor.name for tensor in model.inputs] == ["image"]
    assert np.array_equal(run(model, image=IMAGES[:1]), run(compiled(lenet(), tmp_path), image=IMAGES[:1]))


def test_keep_dtype_keeps_named_operators_and_types_in_float32(tmp_path: Path) -> None:
    network = _softmax_of_a_product()
    values = np.random.default_rng(4).normal(0, 1, (4, 8)).astype(np.float32)
    kept = tmp_path / "kept.cfg"
    kept.write_text("product\nOpType::Softmax\n\n")
    model = onnx.load_from_string(compiled(network, tmp_path, keep_dtype=str(kept)).onnx)
    assert [node.op_type for node in model.graph.node][:2] == ["MatMul", "Softmax"]
    product = values @ weights_of(network)["w"]
    powers = np.exp(product - product.max(1, keepdims=True))
    expected = half(half(powers / powers.sum(1, keepdims=True)) ** 2)
    assert np.allclose(
        run(compiled(network, tmp_path, keep_dtype=str(kept)), x=values), expected, rtol=2**-10, atol=1e-7
    )


def test_an_unknown_name_gives_a_warning(tmp_path: Path) -> None:
    kept = tmp_path / "kept.cfg"
    kept.write_text("nothing\ndense1\n")
    path = saved(lenet(), tmp_path / "net.onnx")
    warnings: list[str] = []
    given = {"model": str(path), "framework": "5", "output": "net", "soc_version": "Ascend310", "keep_dtype": str(kept)}
    compile_model(given, "version", warnings.append)
    assert warnings == ["--keep_dtype names nothing, which the model does not have"]


def test_the_mixed_list_can_be_changed(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.json"
    mixed.write_text('{"black-list": {"to-add": ["MatMul"]}, "white-list": {"to-add": ["Softmax"]}}')
    om = compiled(_softmax_of_a_product(), tmp_path, precision_mode="allow_mix_precision", modify_mixlist=str(mixed))
    types = [node.op_type for node in onnx.load_from_string(om.onnx).graph.node]
    assert types == ["MatMul", "Cast", "Cast", "Softmax", "Cast", "Cast", "Mul", "Cast", "Cast"]


def _normed(*, bias: bool = False, used_twice: bool = False) -> onnx.ModelProto:
    random = np.random.default_rng(9)
    weights = {"w": random.normal(0, 1, (4, 3, 3, 3)), "b": random.normal(0, 1, 4), "scale": random.normal(0, 1, 4)}
    weights |= {"shift": random.normal(0, 1, 4), "mean": random.normal(0, 1, 4), "variance": random.uniform(0.5, 2, 4)}
    nodes = [
        helper.make_node("Conv", ["image", "w", *(["b"] if bias else [])], ["conv"], name="conv"),
        helper.make_node("BatchNormalization", ["conv", "scale", "shift", "mean", "variance"], ["normed"], name="norm",
                         epsilon=1e-3),
        helper.make_node("Add", ["normed", "conv" if used_twice else "normed"], ["y"], name="add"),
    ]  # fmt: skip
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, [2, 3, 8, 8]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4, 6, 6]),
    ]
    arrays = [
        numpy_helper.from_array(array.astype(np.float32), name)
        for name, array in weights.items()
        if bias or name != "b"
    ]
    return model_of(nodes, ends[:1], ends[1:], arrays)


@pytest.mark.parametrize("bias", [False, True])
def test_batch_normalisation_is_fused_before_the_weights_are_rounded(bias: bool, tmp_path: Path) -> None:
    network, images = _normed(bias=bias), np.random.default_rng(2).normal(0, 1, (2, 3, 8, 8)).astype(np.float32)
    values = {name: array.astype(np.float64) for name, array in weights_of(network).items()}
    factor = values["scale"] / np.sqrt(values["variance"] + 1e-3)
    weight = (values["w"] * factor[:, None, None, None]).astype(np.float32)
    shift = ((values.get("b", 0) - values["mean"]) * factor + values["shift"]).astype(np.float32)
    for mode, rounded in (("force_fp16", half), ("must_keep_origin_dtype", same)):
        summed = rounded(conv(rounded(images), rounded(weight)) + rounded(shift)[:, None, None])
        om = compiled(network, tmp_path, precision_mode=mode)
        types = [node.op_type for node in onnx.load_from_string(om.onnx).graph.node]
        assert "BatchNormalization" not in types
        assert np.allclose(run(om, image=images), rounded(summed + summed), rtol=2**-9, atol=1e-4)


def test_a_convolution_with_other_consumers_is_not_fused(tmp_path: Path) -> None:
    network = _normed(used_twice=True)
    images = np.random.default_rng(2).normal(0, 1, (2, 3, 8, 8)).astype(np.float32)
    om = compiled(network, tmp_path, precision_mode="must_keep_origin_dtype")
    plain = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.allclose(run(om, image=images), plain.run(None, {"image": images})[0], rtol=1e-5, atol=1e-6)
    assert "BatchNormalization" in [node.op_type for node in onnx.load_from_string(om.onnx).graph.node]


def test_a_kept_normalisation_is_not_fused(tmp_path: Path) -> None:
    kept = tmp_path / "kept.cfg"
    kept.write_text("norm\n")
    om = compiled(_normed(), tmp_path, keep_dtype=str(kept))
    assert "BatchNormalization" in [node.op_type for node in onnx.load_from_string(om.onnx).graph.node]
