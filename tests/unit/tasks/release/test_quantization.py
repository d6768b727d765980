"""int8 after training: answers stay, layers that would change them stay float16."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from infra.atc.factory import stand_in
from infra.errors import UserError
from infra.ports.compilation import CompileRequest
from tasks.release.quantization import quantise
from tasks.stages import convert
from tests.unit.tasks.doubles import read
from tests.unit.tasks.linear import Machine, evaluation_rows, fitted_weights, network, work_for

# ONNX Runtime's calibration uses NumPy's conversion of one-element arrays.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxruntime")


def classifier(path: Path, spoil: float = 1.0) -> Path:
    """Two convolutions and a product; `spoil` widens one channel of the second, so that the others lose their bits."""
    rng = np.random.default_rng(5)
    weights = {
        "first": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "second": rng.normal(size=(8, 8, 3, 3)).astype(np.float32),
        "last": rng.normal(size=(4, 8)).astype(np.float32),
    }
    weights["second"][0] *= spoil
    weights["last"][:, 0] /= spoil
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], name="conv1", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], name="relu1"),
        helper.make_node("Conv", ["b", "second"], ["c"], name="conv2", pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], name="pool"),
        helper.make_node("Flatten", ["d"], ["e"], name="flat"),
        helper.make_node("Gemm", ["e", "last"], ["logits"], name="dense", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), path)
    return path


def tensors(count: int) -> Any:
    return np.random.default_rng(6).normal(size=(count, 3, 8, 8)).astype(np.float32)


def test_all_layers_become_int8_where_answers_stay(tmp_path: Path) -> None:
    found = quantise(classifier(tmp_path / "a.onnx"), tmp_path / "int8.onnx", tensors(40), most_loss=0.2)
    assert (found.int8, found.half) == (("conv1", "conv2", "dense"), ())
    model = onnx.load(tmp_path / "int8.onnx")
    assert sum(item.data_type == TensorProto.INT8 and len(item.dims) > 1 for item in model.graph.initializer) == 3
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("int8")] == ["int8.onnx"]


def test_layers_that_change_answers_stay_float16(tmp_path: Path) -> None:
    source = classifier(tmp_path / "a.onnx", spoil=3e4)
    everything = quantise(source, tmp_path / "all.onnx", tensors(80), most_loss=1.0)
    assert everything.changed > 0.02
    found = quantise(source, tmp_path / "int8.onnx", tensors(80), most_loss=0.02)
    assert found.changed <= 0.02
    assert found.half
    assert "float16 for" in found.text


@pytest.mark.program
def test_the_stand_in_compiles_and_shrinks_it(tmp_path: Path) -> None:
    quantise(classifier(tmp_path / "a.onnx"), tmp_path / "int8.onnx", tensors(20), most_loss=0.5)
    request = CompileRequest(
        tmp_path / "int8.onnx",
        tmp_path / "a.om",
        "Ascend310",
        {"image": (1, 3, 8, 8)},
        {"precision_mode": "force_fp16"},
    )
    stand_in().compile(request, lambda _line: None)
    assert request.output.stat().st_size > 0


def test_it_needs_pictures_and_layers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are 1"):
        quantise(classifier(tmp_path / "a.onnx"), tmp_path / "int8.onnx", tensors(1))


@pytest.mark.program
def test_int8_is_a_candidate_of_the_conversion(tmp_path: Path) -> None:
    precisions = {
        "convert.precisions": '["int8", "force_fp16"]',
        "convert.min_agreement": "0.9",
        "convert.max_accuracy_drop": "0.1",
    }
    context = work_for(tmp_path, evaluation_rows(), network(*fitted_weights()), Machine(), **precisions)
    made = convert.run(context)
    found = read(made.outputs["ledger"])
    hops = {hop["precision"]: hop for hop in found["hops"] if hop["precision"]}
    assert found["chosen"] == {"Ascend310": "int8"}
    assert 0.9 <= hops["int8"]["whole"]["agreement"] < hops["force_fp16"]["whole"]["agreement"] + 1e-9
    assert "int8 in 1 layers" in made.outputs["log"].read_text()


def test_int8_needs_the_onnx_export(tmp_path: Path) -> None:
    settings = {"convert.precisions": '["int8"]', "convert.model": "other.onnx"}
    with pytest.raises(UserError, match="ONNX export of this chain"):
        convert.run(work_for(tmp_path, evaluation_rows(), network(*fitted_weights()), Machine(), **settings))


@pytest.mark.program
def test_a_model_that_bears_no_int8_is_compiled_in_the_other_precisions(tmp_path: Path) -> None:
    precisions = {"convert.precisions": '["int8", "force_fp16"]', "convert.max_accuracy_drop": "0"}
    context = work_for(tmp_path, evaluation_rows(), network(*fitted_weights()), Machine(), **precisions)
    made = convert.run(context)
    assert read(made.outputs["ledger"])["chosen"] == {"Ascend310": "force_fp16"}
    assert "int8 in 0 layers, float16 for dense" in made.outputs["log"].read_text()
