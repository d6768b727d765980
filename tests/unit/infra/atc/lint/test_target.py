"""What a chip and a machine add to the lint."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from infra.atc.lint.findings import Level, Rule
from infra.atc.lint.target import Machine, examine, nearest

FINE = Machine(memory=32 * 2**30, board=False)


def network(opset: int = 13, kind: str = "Relu", inputs: int = 1, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    names = [f"x{index}" for index in range(inputs)]
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], name="only")],
        "net",
        [helper.make_tensor_value_info(name, dtype, [1]) for name in names],
        [helper.make_tensor_value_info("y", dtype, [1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def test_a_model_that_fits_gives_nothing() -> None:
    assert examine(network(), "Ascend310B4", FINE) == []


@pytest.mark.parametrize(
    ("model", "soc", "rule", "words"),
    [
        (network(), "Ascend42", Rule.CHIP, "no CANN here knows Ascend42"),
        (network(kind="NonMaxSuppression", inputs=4), "Ascend310", Rule.CRASH, "exit status 139"),
    ],
)
def test_what_the_compiler_will_refuse(model: Any, soc: str, rule: Rule, words: str) -> None:
    (found,) = [finding for finding in examine(model, soc, FINE) if finding.rule is rule]
    assert found.level is Level.ERROR
    assert words in str(found)


def test_what_somebody_should_know(tmp_path: Path) -> None:
    board = Machine(memory=4 * 2**30, board=True)
    rules = [finding.rule for finding in examine(network(dtype=TensorProto.INT64), "Ascend310", board)]
    assert rules == [Rule.NUMBERS, Rule.MACHINE]
    small = Machine(memory=4 * 2**30, board=False, toolkit=tmp_path)
    (found,) = examine(network(), "Ascend310", small)
    assert "4 GB of memory" in found.what


def test_the_operators_of_another_chip(tmp_path: Path) -> None:
    kernels = tmp_path / "opp/built-in/op_impl/ai_core/tbe/config"
    (kernels / "ascend310p").mkdir(parents=True)
    machine = Machine(memory=32 * 2**30, board=False, toolkit=tmp_path)
    (found,) = examine(network(), "Ascend310B4", machine)
    assert found.rule is Rule.KERNELS
    assert "operators for ascend310p, not for ascend310b" in found.what
    assert examine(network(), "Ascend310P3", machine) == []


@pytest.mark.parametrize(
    ("version", "generation"),
    [("7.0.RC1", "7.0"), ("8.1.RC1", "8.0"), ("8.5.0", "8.5"), ("9.1.0", "9.0"), ("5.0.4", "5.1"), ("sha256-1", "5.1")],
)
def test_the_generation_of_a_toolkit(version: str, generation: str) -> None:
    assert nearest(version) == generation
