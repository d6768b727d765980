"""The client against commands that behave as atc does, or as it should not."""

import os
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from infra.atc.client import AtcCompiler
from infra.atc.codes import CODES
from infra.atc.emulator.om import read_om
from infra.atc.factory import open_compiler, stand_in
from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.faults import FaultPlan
from infra.ports.compilation import CompileRequest
from infra.ports.values import Producer
from tests.unit.infra.atc.emulator.networks import lenet, saved


def request_in(folder: Path, **options: str) -> CompileRequest:
    model = saved(lenet(), folder / "net.onnx")
    return CompileRequest(model, folder / "out" / "net.om", "Ascend310", {"image": (1, 3, 32, 32)}, options)


def scripted(folder: Path, body: str, seconds: float = 30.0) -> AtcCompiler:
    """A compiler whose command is a Python script with `body`."""
    script = folder / "atc.py"
    script.write_text(body)
    return AtcCompiler([sys.executable, str(script)], Producer("atc", "7.0", emulated=False), seconds=seconds)


def test_the_argument_list_follows_the_request(tmp_path: Path) -> None:
    body = (
        "import sys, os\nprint(*sys.argv[1:], sep='\\n')\nprint(sorted(os.listdir()))\nopen('net.om', 'w').write('om')"
    )
    aipp = tmp_path / "some aipp.cfg"
    aipp.write_text("aipp_op {}")
    lines: list[str] = []
    request = request_in(tmp_path, precision_mode="force_fp16", insert_op_conf=str(aipp), output_type="FP16")
    scripted(tmp_path, body).compile(request, lines.append)
    assert lines == [
        "--model=model.onnx",
        "--framework=5",
        "--output=net",
        "--soc_version=Ascend310",
        "--input_shape=image:1,3,32,32",
        "--precision_mode=force_fp16",
        "--insert_op_conf=aipp.cfg",
        "--output_type=FP16",
        "['aipp.cfg', 'model.onnx']",
    ]
    assert request.output.read_text() == "om"


def test_the_name_with_system_and_processor_is_found(tmp_path: Path) -> None:
    request = request_in(tmp_path)
    scripted(tmp_path, "open('net_linux_x86_64.om', 'w').write('om')").compile(request, print)
    assert [path.name for path in request.output.parent.iterdir()] == ["net.om"]


FAILURES: Sequence[tuple[str, int, type[AtlasFlowError], str]] = [
    ("E10016: Opname [x] is not found", 255, UserError, "E10016"),
    ("E19999: Inner Error!\\n\\tE10041: [PID: 7] Failed to load", 255, UserError, "E10041"),
    ("EZ3003: No supported Ops kernel", 1, Refused, "EZ3003"),
    ("E10044: no memory", 1, Transient, "E10044"),
    ("E98765: something new", 1, Refused, "manual"),
    ("EC0010: Failed to import Python module", 1, UserError, "python3"),
    ("Segmentation fault soon", 3, Refused, "exit status 3: Segmentation fault soon"),
    ("", 3, Refused, "it printed nothing"),
    ("fine", 0, Refused, "wrote no .om"),
]


@pytest.mark.parametrize(("said", "status", "kind", "word"), FAILURES)
def test_codes_become_error_classes(
    said: str, status: int, kind: type[AtlasFlowError], word: str, tmp_path: Path
) -> None:
    request = request_in(tmp_path)
    body = f"import sys\nopen('net.tmp', 'w').write('half')\nprint('{said}')\nsys.exit({status})"
    with pytest.raises(kind) as caught:
        scripted(tmp_path, body).compile(request, lambda _line: None)
    assert word in str(caught.value)
    assert caught.value.hint
    assert list(request.output.parent.iterdir()) == []


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained_with_its_cause_and_its_remedy(code: str, tmp_path: Path) -> None:
    script = tmp_path / "atc.sh"
    script.write_text(f"echo 'ATC run failed'; echo '{code}: as the command says it.'; exit 255\n")
    subject = AtcCompiler(["sh", str(script)], Producer("atc", "7.0", emulated=False))
    with pytest.raises(CODES[code].error) as caught:
        subject.compile(request_in(tmp_path), lambda _line: None)
    assert type(caught.value) is CODES[code].error
    assert f"{code}: as the command says it ({CODES[code].cause})" in caught.value.message
    assert caught.value.hint == CODES[code].remedy


def test_a_killed_atc_is_transient_and_its_half_om_is_dropped(tmp_path: Path) -> None:
    body = "import os, signal\nopen('net.om', 'w').write('half')\nos.kill(os.getpid(), signal.SIGKILL)"
    request = request_in(tmp_path)
    with pytest.raises(Transient, match="SIGKILL"):
        scripted(tmp_path, body).compile(request, lambda _line: None)
    assert list(request.output.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "error", "name", "advice"),
    [(137, Transient, "SIGKILL", "out of memory"), (139, Refused, "SIGSEGV", "NonMaxSuppression")],
)
def test_a_signal_that_comes_through_the_script_is_explained(
    tmp_path: Path, status: int, error: type[AtlasFlowError], name: str, advice: str
) -> None:
    with pytest.raises(error, match=name) as caught:
        scripted(tmp_path, f"import sys\nsys.exit({status})").compile(request_in(tmp_path), lambda _line: None)
    assert advice in caught.value.hint


def test_a_time_out_kills_the_whole_process_group(tmp_path: Path) -> None:
    body = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    lines: list[str] = []
    request = request_in(tmp_path)
    with pytest.raises(Transient, match="stopped after"):
        scripted(tmp_path, body, seconds=1.0).compile(request, lines.append)
    child = int(lines[0])
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child of a stopped atc lives on"
        time.sleep(0.01)
    assert list(request.output.parent.iterdir()) == []


def test_a_missing_command_or_aipp_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    request = request_in(tmp_path)
    missing = AtcCompiler([str(tmp_path / "atc")], Producer("atc", "7.0", emulated=False))
    with pytest.raises(UserError, match="No such file"):
        missing.compile(request, lambda _line: None)
    with pytest.raises(UserError, match="No such file"):
        stand_in().compile(request_in(tmp_path, insert_op_conf=str(tmp_path / "none.cfg")), lambda _line: None)


@pytest.mark.program
@pytest.mark.parametrize("point", ["compile.start", "compile.written"])
def test_a_full_disk_leaves_nothing(point: str, tmp_path: Path) -> None:
    request = request_in(tmp_path)
    with pytest.raises(Refused, match="No space left"):
        stand_in(faults=FaultPlan.parse(f"full@{point}")).compile(request, lambda _line: None)
    assert list(request.output.parent.iterdir()) == []


@pytest.mark.program
def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    request = request_in(tmp_path)
    stand_in().compile(request, lambda _line: None)
    first = request.output.read_bytes()
    stand_in().compile(request, lambda _line: None)
    assert request.output.read_bytes() == first


@pytest.mark.program
def test_the_om_names_the_stand_in(tmp_path: Path) -> None:
    request = request_in(tmp_path)
    stand_in().compile(request, lambda _line: None)
    made_by = stand_in().producer()
    model = read_om(request.output)
    assert (model.producer, model.producer_version, model.emulated) == (made_by.name, made_by.version, True)
    assert made_by.emulated


def _install_atc(folder: Path) -> None:
    folder.mkdir(parents=True)
    atc = folder / "atc"
    atc.write_text(
        f"#!{sys.executable}\nimport os\nprint(os.environ.get('ASCEND_OPP_PATH'))\nopen('net.om', 'w').write('om')"
    )
    atc.chmod(atc.stat().st_mode | stat.S_IXUSR)


def test_auto_takes_the_atc_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install_atc(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("ASCEND_OPP_PATH", "/opp")
    subject = open_compiler("auto")
    assert subject.producer().name == "atc"
    assert not subject.producer().emulated
    lines: list[str] = []
    subject.compile(request_in(tmp_path), lines.append)
    assert lines == ["/opp"]


def test_without_atc_auto_is_the_stand_in_and_atc_is_refused() -> None:
    assert open_compiler("auto", find=tuple).producer().emulated
    with pytest.raises(UserError, match="no atc"):
        open_compiler("atc", find=tuple)
