"""`atlasflow convert --check`."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from flows.cli.convert import convert
from infra.errors import Refused, UserError

SETTINGS = ["convert.compiler=stand-in", 'convert.soc_versions=["Ascend310", "Ascend310B4"]']


@pytest.fixture
def model(tmp_path: Path) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("image", "logits")]
    graph = helper.make_graph([helper.make_node("Softmax", ["image"], ["logits"])], "net", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_a_model_that_compiles(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(model, check=True, settings=SETTINGS)
    assert "net.onnx for Ascend310" in capsys.readouterr().out


def test_a_chip_that_the_cann_lacks(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refused, match="1 errors"):
        convert(model, check=True, settings=[*SETTINGS, "atc.stand_in_cann=9.0"], as_json=True)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [finding["rule"] for finding in said["Ascend310"] if finding["level"] == "error"] == ["chip"]
    assert [finding for finding in said["Ascend310B4"] if finding["level"] == "error"] == []


def test_a_file_is_only_checked(model: Path) -> None:
    with pytest.raises(UserError, match="only checked"):
        convert(model)


def test_without_an_export_there_is_nothing_to_check() -> None:
    with pytest.raises(UserError, match="no exported model"):
        convert(check=True, settings=SETTINGS)
