"""Damaged files of every kind: whatever the bytes, only errors of the documented kinds come out."""

import random
from pathlib import Path

import pytest

from infra.air.reader import to_onnx
from infra.air.writer import to_air
from infra.atc.emulator import command
from infra.atc.emulator.om import OmError, pack_om, parse_om
from infra.errors import Corrupt, UserError
from tests.unit.infra.air.test_air import residual
from tests.unit.infra.atc.emulator.networks import lenet
from tests.unit.infra.atc.emulator.test_om import MODEL

ARGUMENTS = ["--output=net", "--soc_version=Ascend310", "--input_shape=image:2,3,16,16"]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, removed or put in."""
    result = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        place, size = chance.randrange(len(result)), chance.choice([1, 2, 8])
        match chance.choice(["change", "change", "remove", "insert"]):
            case "change":
                result[place] = chance.randrange(256)
            case "remove":
                del result[place : place + size]
            case _:
                result[place:place] = chance.randbytes(size)
    return bytes(result)


def test_damaged_oms_give_a_code_or_load() -> None:
    data, chance = pack_om(MODEL), random.Random(1)
    codes = set()
    for _ in range(3000):
        try:
            parse_om(damaged(data, chance))
        except OmError as error:
            codes.add(error.code)
    assert codes == {145006, 145010, 545002, 545003}


def test_damaged_air_is_corrupt_or_refused_or_loads() -> None:
    data, chance = to_air(residual(), 2), random.Random(2)
    refused = 0
    for _ in range(400):
        try:
            to_onnx(damaged(data, chance))
        except (Corrupt, UserError):
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("framework", ["1", "5"])
def test_damaged_models_fail_with_a_code_or_compile(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = to_air(residual(), 2) if framework == "1" else residual().SerializeToString()
    chance = random.Random(3)
    statuses = set()
    for _ in range(150):
        Path("net.model").write_bytes(damaged(data, chance))
        status = command.main(["--model=net.model", f"--framework={framework}", *ARGUMENTS])
        said = capsys.readouterr().out
        assert (status, any(line.startswith("E") for line in said.splitlines())) in ((0, False), (255, True))
        statuses.add(status)
    assert statuses == {0, 255}


def test_an_unknown_element_type_does_not_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    network = lenet()
    network.graph.input[0].type.tensor_type.elem_type = 44
    Path("net.onnx").write_bytes(network.SerializeToString())
    assert command.main(["--model=net.onnx", "--framework=5", "--output=net", "--soc_version=Ascend310"]) == 255
    assert "E19999: Inner error: the shapes are inconsistent: Invalid tensor data type 44" in capsys.readouterr().out
    with pytest.raises(UserError, match="44"):
        to_air(network)


def test_an_operator_name_of_other_bytes_does_not_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(lenet().SerializeToString().replace(b"MaxPool", b"MaxPo\xea\xea"))
    assert command.main(["--model=net.onnx", "--framework=5", "--output=net", "--soc_version=Ascend310"]) == 255
    assert "E10041" in capsys.readouterr().out
