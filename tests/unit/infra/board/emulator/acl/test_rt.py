import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from .conftest import FOLDER


def test_the_order_of_life(fresh_acl: Any) -> None:
    acl = fresh_acl
    assert acl.rt.get_run_mode() == (0, 0)  # before init, as acllite asks at import
    assert acl.rt.get_device_count() == (1, 0)
    assert acl.rt.set_device(0) == 100001
    assert acl.finalize() == 100001
    assert acl.init() == 0
    assert acl.init() == 100002
    assert acl.rt.malloc(16, 2) == (0, 107002)
    assert acl.rt.create_context(0) == (0, 107001)
    assert acl.rt.set_device(1) == 107001
    assert acl.rt.set_device(0) == 0
    assert acl.rt.get_device() == (0, 0)
    context, code = acl.rt.create_context(0)
    assert code == 0
    assert acl.rt.get_context() == (context, 0)
    assert acl.rt.destroy_context(context) == 0
    assert acl.rt.get_context() == (0, 107002)
    assert acl.rt.set_context(context) == 107017
    assert acl.rt.set_context(0) == 100000
    assert acl.rt.reset_device(0) == 0
    assert acl.rt.reset_device(0) == 107001
    assert acl.finalize() == 0
    assert acl.finalize() == 100037


def test_the_implicit_context_belongs_to_the_device(fresh_acl: Any) -> None:
    acl = fresh_acl
    acl.init()
    acl.rt.set_device(0)
    context, code = acl.rt.get_context()
    assert code == 0
    assert acl.rt.destroy_context(context) == 107017
    assert acl.rt.malloc(16, 2)[1] == 0


def test_a_configuration_file_must_be_json(fresh_acl: Any, tmp_path: Path) -> None:
    path = tmp_path / "acl.json"
    assert fresh_acl.init(str(path)) == 100003
    path.write_text("{")
    assert fresh_acl.init(str(path)) == 100006
    assert "not valid JSON" in fresh_acl.get_recent_err_msg()
    assert fresh_acl.get_recent_err_msg() == ""
    path.write_text("")
    assert fresh_acl.init(str(path)) == 0


def test_the_machine_is_chosen_by_the_environment(fresh_acl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLASFLOW_ACL_SOC", "Ascend310P3")
    monkeypatch.setenv("ATLASFLOW_ACL_RUN_MODE", "host")
    monkeypatch.setenv("ATLASFLOW_ACL_DEVICES", "2")
    assert fresh_acl.get_soc_name() == "Ascend310P3"
    assert fresh_acl.rt.get_run_mode() == (1, 0)
    assert fresh_acl.rt.get_device_count() == (2, 0)


def test_a_thread_needs_a_context_of_its_own(acl: Any) -> None:
    context, _ = acl.rt.get_context()
    codes = []

    def work() -> None:
        codes.append(acl.rt.malloc(8, 2)[1])
        codes.append(acl.rt.set_context(context))
        codes.append(acl.rt.malloc(8, 2)[1])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert codes == [107002, 0, 0]


def test_late_calls_at_exit_do_not_crash(tmp_path: Path) -> None:
    program = tmp_path / "late.py"
    program.write_text(
        "import os, acl\n"
        "class Model:\n"
        "    def __init__(self):\n"
        "        self.pointer, _ = acl.rt.malloc(64, 2)\n"
        "        self.desc = acl.mdl.create_desc()\n"
        "    def __del__(self, write=os.write):\n"
        "        codes = [acl.mdl.destroy_desc(self.desc), acl.rt.free(self.pointer)]\n"
        "        codes += [acl.rt.reset_device(0), acl.finalize()]\n"
        "        write(1, b'released\\n' if all(type(code) is int for code in codes) else b'wrong\\n')\n"
        "acl.init(); acl.rt.set_device(0)\n"
        "stream, _ = acl.rt.create_stream()\n"
        "model = Model()\n"
    )
    ended = subprocess.run(
        [sys.executable, program], env={"PYTHONPATH": FOLDER}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "released\n", "")


LATE = """
import inspect, sys, acl, acl.media

class Late:
    def __init__(self):
        places = (acl, acl.rt, acl.mdl, acl.media)
        found = {name: call for place in places for name, call in vars(place).items() if inspect.isfunction(call)}
        ours = [call for name, call in found.items() if call.__module__.startswith("acl") and name[0] != "_"]
        wrapped = [call for call in ours if hasattr(call, "__wrapped__")]
        self.calls = [(call, [0] * len(inspect.signature(call).parameters)) for call in wrapped]

    def __del__(self, write=__import__("os").write):
        for call, zeros in self.calls:
            call(*zeros)
        write(1, b"%d answered" % len(self.calls))

acl.init(); acl.rt.set_device(0)
sys.modules["last"] = Late()
"""


@pytest.mark.parametrize("mode", ["device", "host"])
def test_every_call_at_the_very_end_is_answered(tmp_path: Path, mode: str) -> None:
    """Neither an exception nor a wait: not even for a stream, whose thread could not start any more."""
    program = tmp_path / "late.py"
    program.write_text(LATE)
    environment = {"PYTHONPATH": FOLDER, "ATLASFLOW_ACL_RUN_MODE": mode}
    ended = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert int(ended.stdout.split()[0]) > 90


def test_only_acl_is_importable_from_the_stand_in_s_folder() -> None:
    program = (
        "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('acl', 'rt', 'ssh', 'agent', 'remote')])"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", program], env={"PYTHONPATH": FOLDER}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[True, False, False, False, False]"


def test_importing_acl_is_cheap() -> None:
    program = "import acl, sys; print('onnxruntime' in sys.modules, 'PIL' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": FOLDER}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "False False"
