"""The command line of each generation, and values that nobody means."""

from pathlib import Path

import pytest

from infra.atc.emulator import command
from infra.atc.emulator.flags import VARIABLE, UnknownFlagError, parse
from infra.atc.emulator.om import read_om
from infra.atc.emulator.shapes import read_gears
from infra.atc.generations import FLAGS, GENERATIONS
from infra.atc.options import OPTIONS
from tests.unit.infra.atc.emulator.broken import changed
from tests.unit.infra.atc.emulator.commands import BASE, SHAPE

pytestmark = pytest.mark.usefixtures("folder")


def test_every_flag_has_a_help_text_and_a_generation() -> None:
    assert set(FLAGS) == set(OPTIONS)


def test_gears_may_end_in_a_separator() -> None:
    assert read_gears({"dynamic_dims": "250;500;"}).values == ((250,), (500,))
    assert read_gears({"dynamic_image_size": "32,32; 64,64;"}).values == ((32, 32), (64, 64))
    assert read_gears({"dynamic_batch_size": "1,2,"}).values == ((1,), (2,))


def test_a_flag_of_another_generation_is_unknown() -> None:
    assert parse(["--deterministic=1"], GENERATIONS["8.0"]) == {"deterministic": "1"}
    with pytest.raises(UnknownFlagError, match=r"CANN 6\.3 and later"):
        parse(["--deterministic=1"], GENERATIONS["5.1"])
    with pytest.raises(UnknownFlagError, match=r"CANN 9\.2 and later"):
        parse(["--raw_ge_options=x"], GENERATIONS["9.0"])


def test_newer_generations_take_the_beginning_of_a_flag() -> None:
    assert parse(["--soc_v=Ascend310B4"], GENERATIONS["8.5"]) == {"soc_version": "Ascend310B4"}
    for words, cann in ((["--soc_v=x"], "8.0"), (["--dynamic=x"], "8.5")):
        with pytest.raises(UnknownFlagError):
            parse(words, GENERATIONS[cann])


def test_outputs_are_chosen_by_their_own_names() -> None:
    assert command.main([*BASE, SHAPE, "--out_nodes=logits"]) == 0
    assert [tensor.name.rpartition(":")[2] for tensor in read_om(Path("net.om")).outputs] == ["logits"]


@pytest.mark.parametrize("version", [8, 9, 10, 18])
def test_opsets_of_the_parsers(version: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The network's operators have the same meaning in all of them."""
    changed(lambda net: setattr(net.opset_import[0], "version", version))()
    assert command.main([*BASE, SHAPE]) == 0, capsys.readouterr().out


def test_the_generation_decides_chips_opsets_and_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(lambda net: setattr(net.graph.node[0], "op_type", "Convolute"))()
    monkeypatch.setenv(VARIABLE, "9.0")
    assert command.main([*BASE, SHAPE]) == 255
    assert "E10001: Value [Ascend310] of --soc_version" in capsys.readouterr().out
    assert command.main([*BASE, SHAPE, "--soc_version=Ascend310B4"]) == 255
    assert "E16002: No parser is registered for the ONNX operator" in capsys.readouterr().out
    monkeypatch.setenv(VARIABLE, "8.0")
    assert command.main([*BASE, SHAPE, "--soc_version=Ascend310B4"]) == 255
    out = capsys.readouterr().out
    assert "E19010: No parser is registered for Op [conv1, optype [ai.onnx::11::Convolute]]." in out


def test_options_without_effect_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*BASE, SHAPE, "--enable_single_stream=true"]) == 0
    assert "WARNING: --enable_single_stream has no effect in this stand-in" in capsys.readouterr().out


VALUES = ("", " ", "9" * 30, "9" * 5000, "'", '"', "a b", ";;;", ",", ":", "-1", "名", "\0", "\udcff", "x" * 5000, "=")


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"help"}))
def test_no_value_of_any_option_is_a_traceback(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for value in VALUES:
        code = command.main([*BASE, SHAPE, "--mode=3", f"--{name}={value}"])
        out = capsys.readouterr().out
        assert code in (0, 1, 255)
        assert "E19999" not in out, (value[:20], out)


def test_single_operators_are_compiled_each_to_a_file() -> None:
    half = '{"format": "ND", "shape": [2, 2], "type": "float16"}'
    Path("ops.json").write_text(
        f'[{{"op": "MatMul", "input_desc": [{half}, {half}], "output_desc": [{half}], '
        '"attr": [{"name": "transpose_x1", "type": "bool", "value": true}]}]'
    )
    assert command.main(["--singleop=ops.json", "--output=ops", "--soc_version=Ascend310"]) == 0
    (file,) = Path("ops").iterdir()
    assert file.name == "0_MatMul_1_2_2_2_1_2_2_2_1_2_2_2.om"
    assert read_om(file).options == {"singleop": "MatMul", "singleop_attributes": "transpose_x1=True"}
