"""The lint against models of other exporters: what ships is fixed until the compiler takes it, the rest is named."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from infra.atc.generations import GENERATIONS, nearest
from infra.atc.lint import fixes, rules
from infra.atc.lint.findings import Level, Rule, errors, some
from infra.errors import UserError
from tests.unit.infra.atc import foreign

DTYPES = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.UINT8: np.uint8}


def answers(model: onnx.ModelProto) -> np.ndarray[Any, Any]:
    """The first output for pictures that depend on nothing but the shape."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for node in model.graph.node:
        node.name = ""  # ONNX Runtime refuses a name that two nodes have
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {}
    for value in model.graph.input:
        if value.name in {item.name for item in model.graph.initializer}:
            continue
        dims = [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
        shape = [1 if index == 0 else foreign.SIZE for index, _ in enumerate(dims)]
        shape = [size if isinstance(size, int) and size > 0 else other for size, other in zip(dims, shape, strict=True)]
        kind = DTYPES.get(value.type.tensor_type.elem_type, np.bool_)
        feeds[value.name] = np.random.default_rng(3).uniform(0, 200, shape).astype(kind)
    return np.asarray(session.run(None, feeds)[0])


@pytest.mark.parametrize("name", foreign.MODELS)
def test_a_fixed_model_has_no_errors_and_the_same_answers(name: str) -> None:
    model = foreign.MODELS[name]()
    before = model.SerializeToString()
    fixed, findings = fixes.apply(model, size=foreign.SIZE)
    assert model.SerializeToString() == before, "the user's model is not changed"
    assert errors(findings) == []
    assert rules.lint(fixed) == []
    onnx.checker.check_model(fixed, full_check=True)
    np.testing.assert_allclose(answers(fixed), answers(model), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", foreign.REFUSED)
def test_what_the_compiler_refuses_is_named_with_a_remedy(name: str) -> None:
    make, rule, part = foreign.REFUSED[name]
    fixed, _ = fixes.apply(make())
    found = errors(rules.lint(fixed))
    assert [item.rule.value for item in found] == [rule]
    assert part in found[0].what
    assert found[0].remedy


FIXED = {
    "torch_view": (Rule.FOLDED, "Shape ×1"),
    "opset_7": (Rule.OPSET, "opset 7"),
    "torch_old": (Rule.WEIGHTS, "4 weights are inputs, too"),
    "keras": (Rule.DOMAINS, "unused operator domains: ai.onnx.ml"),
    "paddle": (Rule.FOLDED, "Constant ×3"),
    "newest_opset": (Rule.OPSET, "opset 21"),
    "known_branch": (Rule.FOLDED, "If ×1"),
    "local_function": (Rule.FOLDED, "torch_nn_modules_relu_1 ×1"),
    "clumsy": (Rule.NAMES, "several nodes have one name: layer"),
    "any_size": (Rule.DIMENSIONS, "[b, 3, h, w]"),
}


@pytest.mark.parametrize("name", FIXED)
def test_each_change_is_said(name: str) -> None:
    rule, part = FIXED[name]
    _, findings = fixes.apply(foreign.MODELS[name](), size=foreign.SIZE)
    said = {item.rule: item for item in findings if item.level is Level.FIXED}
    assert part in said[rule].what
    assert said[rule].remedy


def test_nothing_is_said_of_domains_that_the_file_does_not_name() -> None:
    _, findings = fixes.apply(foreign.torch_view())
    assert [item.rule for item in findings] == [Rule.DIMENSIONS, Rule.FOLDED]


def test_a_model_that_is_right_is_left_alone() -> None:
    model = foreign.batch_of_four()
    fixed, findings = fixes.apply(model)
    assert findings == []
    assert [node.op_type for node in fixed.graph.node] == [node.op_type for node in model.graph.node]


def test_the_generation_of_the_compiler_decides_about_opsets_and_chips() -> None:
    old, new = GENERATIONS["5.1"], GENERATIONS["9.0"]
    model = foreign.torch_resnet()  # opset 17
    (found,) = rules.lint(model, old)
    assert found.what == "opset 17; ATC of CANN 5.1 reads 8 to 13"
    fixed, findings = fixes.apply(model, cann=old)
    assert (findings[-1].rule, findings[-1].remedy) == (Rule.OPSET, "translated to 13")
    assert rules.lint(fixed, old) == []
    assert rules.lint(model, new) == []
    (found,) = rules.lint(model, new, ["Ascend310", "Ascend310P3"])
    assert (found.rule, found.what) == (Rule.CHIP, "CANN 9.0 does not compile for Ascend310")
    assert "5.1 to 8.0" in found.remedy
    assert [nearest(text).name for text in ("8.1.RC1", "9.1", "4.0", "")] == ["8.0", "9.0", "5.1", "5.1"]


def test_an_open_size_needs_a_number() -> None:
    fixed, _ = fixes.apply(foreign.any_size())
    (found,) = rules.lint(fixed)
    assert (found.rule, "--size" in found.remedy) == (Rule.DIMENSIONS, True)


def test_an_open_batch_can_stay_open() -> None:
    fixed, findings = fixes.apply(foreign.torch_resnet(), batch=0)
    assert fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch_size"
    assert findings == []
    assert rules.lint(fixed) == []


def test_one_domain_twice_is_named_once() -> None:
    fixed, findings = fixes.apply(foreign.clumsy())
    assert [(item.domain, item.version) for item in fixed.opset_import] == [("", 13)]
    assert [item.rule for item in findings].count(Rule.DOMAINS) == 2


def test_names_with_separators_are_refused() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["a;b"], ["y"])],
            "g",
            [helper.make_tensor_value_info("a;b", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
    )
    assert [item.rule for item in rules.lint(model)] == [Rule.NAMES]


def test_weights_in_another_file_are_put_into_the_model(tmp_path: Path) -> None:
    model = foreign.torch_resnet()
    expected = answers(model)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    loaded, (found,) = fixes.load(tmp_path / "m.onnx")
    assert (found.rule, found.level, "m.data" in found.what) == (Rule.WEIGHTS, Level.FIXED, True)
    np.testing.assert_array_equal(answers(loaded), expected)
    (tmp_path / "m.data").unlink()
    with pytest.raises(UserError, match=r"m\.data"):
        fixes.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("outside", ["../secret.data", "/etc/passwd"])
def test_weights_outside_the_folder_are_not_read(tmp_path: Path, outside: str) -> None:
    model = foreign.torch_resnet()
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    broken = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    for item in broken.graph.initializer:
        for entry in item.external_data:
            if entry.key == "location":
                entry.value = outside
    (tmp_path / "m.onnx").write_bytes(broken.SerializeToString())
    with pytest.raises(UserError, match="cannot be read"):
        fixes.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no model", b"\x08\x08"])
def test_other_files_are_no_models(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"m\.onnx is no ONNX"):
        fixes.load(path)


def test_long_lists_are_cut() -> None:
    assert some(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert some(["a"]) == "a"
