"""Whatever value an option has, the stand-in ends with a code of its own."""

import random
from pathlib import Path

import pytest

from infra.atc.emulator import command
from infra.atc.emulator.flags import VARIABLE
from infra.atc.generations import FLAGS
from tests.unit.infra.air.test_air import residual

GOOD = {"model": "net.onnx", "framework": "5", "output": "net", "soc_version": "Ascend310P3"}
GOOD["input_shape"] = "image:2,3,16,16"
VALUES = (
    *("", " ", "9" * 30, "-1", "1.5", "1e999", '"', "'", "a b", "\u56fe\u50cf", "\u0661", "\u202e", "\udcff", "\n"),
    *(";;;", ",", "::", "a" * 5000, "/", "..", "0", "1", "true", "{parameter}", "%s", "image:1~4,3,16,16", "[]"),
    *("image:-1,3,16,16", f"image:{'9' * 25},3,16,16", "1,2;3"),
)


def test_any_value_of_any_option_gives_a_code_or_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(residual().SerializeToString())
    chance = random.Random(17)
    pairs = [(flag, value) for flag in sorted(FLAGS) for value in chance.sample(VALUES, 3)]
    pairs += [("weight", "\udcff"), ("target", "\udcff")]  # kept in the model as they are
    statuses = set()
    for flag, value in pairs:
        monkeypatch.setenv(VARIABLE, chance.choice(["5.1", "8.0", "9.0"]))
        status = command.main([f"--{name}={text}" for name, text in {**GOOD, flag: value}.items()])
        said = capsys.readouterr()
        assert "E19999" not in said.out, (flag, value)
        assert said.out.encode(), (flag, value)
        refused = any(line[:1] == "E" and line[1:6].isalnum() for line in said.out.splitlines())
        assert (status, refused) in ((0, False), (255, True), (1, False)), (flag, value)
        assert (status == 1) == ("unknown command line flag" in said.err)
        statuses.add(status)
    assert statuses == {0, 1, 255}
