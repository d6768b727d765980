"""What every `Compiler` does: the stand-in, and a real atc when one is installed."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.air.writer import to_air
from infra.atc.emulator.om import read_om
from infra.atc.factory import open_compiler
from infra.atc.toolkit import find_toolkit
from infra.errors import AtlasFlowError, Refused, UserError
from infra.ports.compilation import Compiler, CompileRequest
from tests.unit.infra.atc.emulator.networks import lenet, saved

REAL = find_toolkit() is not None


@pytest.fixture(
    params=[
        "stand-in",
        pytest.param("atc", marks=pytest.mark.skipif(not REAL, reason="there is no atc on this machine")),
    ]
)
def subject(request: pytest.FixtureRequest) -> Compiler:
    return open_compiler(request.param)


@pytest.fixture
def asked(tmp_path: Path) -> CompileRequest:
    model = saved(lenet(), tmp_path / "a model.onnx")
    shapes = {"image": (1, 3, 32, 32)}
    return CompileRequest(model, tmp_path / "out" / "lenet.om", "Ascend310", shapes)


def failing(subject: Compiler, request: CompileRequest) -> tuple[AtlasFlowError, list[str]]:
    """The error of a compilation that must fail and leave nothing."""
    lines: list[str] = []
    with pytest.raises((UserError, Refused)) as caught:
        subject.compile(request, lines.append)
    assert not request.output.exists()
    assert not request.output.parent.exists() or list(request.output.parent.iterdir()) == []
    return caught.value, lines


def test_it_writes_an_om_and_nothing_else(subject: Compiler, asked: CompileRequest) -> None:
    lines: list[str] = []
    subject.compile(asked, lines.append)
    assert [path.name for path in asked.output.parent.iterdir()] == ["lenet.om"]
    assert lines[0] == "ATC start working now, please wait for a moment."
    assert "ATC run success, welcome to the next use." in lines
    data = asked.output.read_bytes()
    assert data[:4] == b"IMOD"
    for word in (b"Ascend310", b"image", b"logits"):
        assert word in data
    assert read_om(asked.output).emulated == subject.producer().emulated


def test_the_producer_has_a_version_and_is_stable(subject: Compiler) -> None:
    assert subject.producer() == subject.producer()
    assert subject.producer().version


def test_an_earlier_om_is_replaced_only_by_a_whole_one(subject: Compiler, asked: CompileRequest) -> None:
    subject.compile(asked, lambda _line: None)
    before = asked.output.read_bytes()
    with pytest.raises((UserError, Refused)):
        subject.compile(replace(asked, input_shape={"picture": (1, 3, 32, 32)}), lambda _line: None)
    assert asked.output.read_bytes() == before
    assert [path.name for path in asked.output.parent.iterdir()] == ["lenet.om"]


def test_a_wrong_input_name_is_named(subject: Compiler, asked: CompileRequest) -> None:
    error, lines = failing(subject, replace(asked, input_shape={"picture": (1, 3, 32, 32)}))
    assert "E10016" in error.message
    assert "picture" in error.message
    assert error.hint
    assert "ATC run failed, Please check the detail log, Try 'atc --help' for more information" in lines


def test_an_unknown_soc_is_an_error_of_the_user(subject: Compiler, asked: CompileRequest) -> None:
    error, _ = failing(subject, replace(asked, soc_version="Ascend42"))
    assert isinstance(error, UserError)


def test_a_damaged_model_cannot_be_loaded(subject: Compiler, asked: CompileRequest) -> None:
    asked.model.write_bytes(asked.model.read_bytes()[:5000])
    error, _ = failing(subject, asked)
    assert "E10041" in error.message


def test_an_onnx_model_called_air_cannot_be_loaded(subject: Compiler, asked: CompileRequest) -> None:
    model = asked.model.rename(asked.model.with_suffix(".air"))
    error, _ = failing(subject, replace(asked, model=model))
    assert "E10041" in error.message


def test_air_is_compiled_without_shapes(subject: Compiler, asked: CompileRequest) -> None:
    model = asked.model.with_suffix(".air")
    model.write_bytes(to_air(lenet("n")))
    subject.compile(replace(asked, model=model, input_shape={}), lambda _line: None)
    assert b"Ascend310" in asked.output.read_bytes()


def test_a_newer_opset_has_no_parser(subject: Compiler, asked: CompileRequest) -> None:
    network = lenet()
    network.opset_import[0].version = 22
    error, _ = failing(subject, replace(asked, model=saved(network, asked.model)))
    assert isinstance(error, Refused)
    assert "opset" in str(error)


def test_dynamic_batch_adds_the_gear_input(subject: Compiler, asked: CompileRequest) -> None:
    request = replace(
        asked,
        model=saved(lenet("n"), asked.model),
        input_shape={"image": (-1, 3, 32, 32)},
        options={"dynamic_batch_size": "1,4,8"},
    )
    subject.compile(request, lambda _line: None)
    assert b"ascend_mbatch_shape_data" in asked.output.read_bytes()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"precison_mode": "force_fp16"}, "precision_mode"),
        ({"output": "x"}, "AtlasFlow sets it"),
        ({"mode": "1"}, "AtlasFlow sets it"),
        ({"external_weight": "1"}, "remove it"),
    ],
)
def test_options_that_are_none_never_reach_atc(
    subject: Compiler, asked: CompileRequest, options: dict[str, str], word: str
) -> None:
    error, lines = failing(subject, replace(asked, options=options))
    assert word in error.hint
    assert lines == []


def test_files_that_cannot_be_compiled_never_reach_atc(
    subject: Compiler, asked: CompileRequest, tmp_path: Path
) -> None:
    for request in (
        replace(asked, model=tmp_path / "none.onnx"),
        replace(asked, model=saved(lenet(), tmp_path / "net.pb")),
        replace(asked, output=asked.output.with_suffix(".bin")),
    ):
        _, lines = failing(subject, request)
        assert lines == []
