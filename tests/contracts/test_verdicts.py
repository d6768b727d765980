"""What the compilers say of a hundred graphs: the stand-in as expected, and a real atc as the stand-in.

With a real one, the table of differences is written to `verdicts.json` in the working folder: send it back, and
docs/compatibility.md becomes better (docs/real-atc.md).
"""

import json
import re
import subprocess
from pathlib import Path

import onnx
import pytest

from infra.atc.emulator import command
from infra.atc.toolkit import find_toolkit
from tests.contracts.graphs import Case, cases

CASES = list(cases())
CODE = re.compile(r"^\s*(E[0-9A-Z]\d{4}):", re.MULTILINE)
TOOLKIT = find_toolkit()


def arguments(case: Case, soc_version: str = "Ascend310P3") -> list[str]:
    return ["--model=net.onnx", "--framework=5", "--output=net", f"--soc_version={soc_version}", *case.options]


def test_there_are_a_hundred() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_stand_in_says_what_is_expected(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(case.model, "net.onnx")
    code = command.main(arguments(case))
    assert (code, CODE.findall(capsys.readouterr().out)[:1]) == ((255, [case.code]) if case.code else (0, []))


@pytest.mark.slow
@pytest.mark.skipif(TOOLKIT is None, reason="there is no atc on this machine")
def test_a_real_compiler_says_the_same(tmp_path: Path) -> None:
    assert TOOLKIT is not None
    differences = {}
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        onnx.save(case.model, folder / "net.onnx")
        ended = subprocess.run(
            [TOOLKIT.atc, *arguments(case)], cwd=folder, capture_output=True, text=True, check=False, timeout=1800
        )
        said = CODE.findall(ended.stdout)
        real = "" if ended.returncode == 0 else (said or ["?"])[0]
        if real != case.code:
            differences[case.name] = {"stand-in": case.code, "atc": real, "exit": ended.returncode}
    Path("verdicts.json").write_text(json.dumps({"version": TOOLKIT.version, "differences": differences}, indent=1))
    assert not differences
