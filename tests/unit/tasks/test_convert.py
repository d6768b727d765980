from types import SimpleNamespace

import pytest

from infra.errors import Refused, UserError
from infra.settings import load
from tasks import convert
from tests.unit.tasks.doubles import FakeCompiler, work_of


def run(tmp_path, compiler, **settings):
    world = SimpleNamespace(compiler=lambda: compiler)
    work = work_of(tmp_path, {"model": b"network"}, world=world, settings=settings)
    return work, convert.run(work)


def test_the_model_is_compiled_and_the_log_kept(tmp_path):
    work, made = run(tmp_path, FakeCompiler())
    assert made.outputs["om"].read_bytes() == b"om:network"
    assert made.outputs["log"].read_text() == "ATC start working now\n"
    assert work.reporter.lines == ["ATC start working now"]
    assert made.note == "atc-stand-in 0123456789ab (stand-in) for Ascend310, 10 bytes"


def test_a_real_compiler_is_not_called_a_stand_in(tmp_path):
    assert "stand-in" not in run(tmp_path, FakeCompiler(emulated=False))[1].note


def test_the_request_says_what_the_settings_ask_for(tmp_path):
    compiler = FakeCompiler()
    run(tmp_path, compiler, **{"convert.soc_version": "Ascend310P3", "convert.precision_mode": "allow_fp32_to_fp16"})
    (request,) = compiler.requests
    assert request.soc_version == "Ascend310P3"
    assert request.options["precision_mode"] == "allow_fp32_to_fp16"
    assert request.input_shape == {"image": (1, 3, 32, 32)}
    assert request.output.suffix == ".om"


def test_a_refusal_of_the_compiler_is_passed_on(tmp_path):
    with pytest.raises(Refused, match="E10001"):
        run(tmp_path, FakeCompiler(error=Refused("E10001: the value is invalid")))


def test_the_settings_that_change_the_bytes_are_ingredients():
    def ingredients(**overrides):
        return convert.STAGE.settings(load(overrides=overrides))

    plain = ingredients()
    assert ingredients(**{"convert.soc_version": "Ascend310B4"}) != plain
    assert ingredients(**{"convert.precision_mode": "must_keep_origin_dtype"}) != plain
    assert ingredients(**{"train.epochs": "3", "obs.bucket": "other"}) == plain


def test_air_or_onnx_is_compiled_as_asked():
    assert convert.STAGE.needs(load()) == {"model": ("export", "onnx")}
    assert convert.STAGE.needs(load(overrides={"convert.source": "air"})) == {"model": ("export", "air")}
    with pytest.raises(UserError, match=r"convert\.source"):
        load(overrides={"convert.source": "mindir"})


def test_an_own_model_takes_the_place_of_the_export(tmp_path):
    own = load(overrides={"convert.model": str(tmp_path / "own.onnx")})
    assert convert.STAGE.given(own) == {"model": tmp_path / "own.onnx"}
    assert convert.STAGE.given(load()) == {}
