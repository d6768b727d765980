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
    assert acl.rt.create_context(1) == (0, 107001)
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


def test_a_device_is_given_back_as_often_as_it_was_set(fresh_acl: Any) -> None:
    acl = fresh_acl
    acl.init()
    assert [acl.rt.set_device(0), acl.rt.set_device(0)] == [0, 0]
    pointer, _ = acl.rt.malloc(16, 2)
    assert acl.rt.reset_device(0) == 0
    assert acl.rt.memset(pointer, 16, 0, 16) == 0
    assert acl.rt.reset_device(0) == 0
    assert acl.rt.reset_device(0) == 107001
    assert [acl.rt.set_device(0), acl.rt.set_device(0), acl.rt.reset_device_force(0)] == [0, 0, 0]
    assert acl.rt.reset_device(0) == 107001


def test_a_context_opens_its_device(fresh_acl: Any) -> None:
    acl = fresh_acl
    acl.init()
    context, code = acl.rt.create_context(0)
    assert code == 0
    assert acl.rt.malloc(16, 2)[1] == 0
    assert acl.rt.destroy_context(context) == 0


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


@pytest.mark.program
@pytest.mark.parametrize("place", ["", "import sys; sys.modules['last'] = model; del model\n"])
def test_late_calls_at_exit_are_answered_as_on_a_board(tmp_path: Path, place: str) -> None:
    program = tmp_path / "late.py"
    program.write_text(
        "import os, acl\n"
        "class Model:\n"
        "    def __init__(self):\n"
        "        self.pointer, _ = acl.rt.malloc(64, 2)\n"
        "        self.desc = acl.mdl.create_desc()\n"
        "        self.context, _ = acl.rt.create_context(0)\n"
        "        self.stream, _ = acl.rt.create_stream()\n"
        "    def __del__(self, write=os.write):\n"
        "        codes = [acl.mdl.destroy_desc(self.desc), acl.rt.free(self.pointer)]\n"
        "        codes += [acl.rt.synchronize_stream(self.stream), acl.rt.destroy_stream(self.stream)]\n"
        "        codes += [acl.rt.destroy_context(self.context), acl.rt.reset_device(0), acl.finalize()]\n"
        "        write(1, repr(codes).encode())\n"
        "acl.init(); acl.rt.set_device(0)\n"
        "model = Model()\n"
        f"{place}"
    )
    ended = subprocess.run(
        [sys.executable, program], env={"PYTHONPATH": FOLDER}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, str([0] * 7), "")


LATE = """
import sys, acl, acl.media

ZEROS = {"s": "", "O": [], "f": 0.0}

class Late:
    def __init__(self):
        binding, media = sys.modules["acl._binding"], sys.modules["acl._binding_media"]
        self.calls = []
        places = {acl: binding.ACL, acl.rt: binding.RT, acl.mdl: binding.MDL, acl.media: media.MEDIA}
        for place, names in places.items():
            for entry in names.split():
                name, _, form = entry.partition(":")
                letters = form.partition(">")[0].strip("-*|")
                self.calls.append((getattr(place, name), [ZEROS.get(letter, 0) for letter in letters]))

    def __del__(self, write=__import__("os").write, kept=(list, TypeError)):
        for call, zeros in self.calls:
            try:
                call(*zeros)
            except kept[1]:
                pass  # lists of the wrong length, a function that cannot be called: as on a board
        write(1, b"%d answered" % len(self.calls))

acl.init(); acl.rt.set_device(0)
sys.modules["last"] = Late()
"""


@pytest.mark.program
@pytest.mark.parametrize("mode", ["device", "host"])
def test_every_call_at_the_very_end_is_answered(tmp_path: Path, mode: str) -> None:
    """Neither an exception nor a wait: not even for a stream, whose thread could not start any more."""
    program = tmp_path / "late.py"
    program.write_text(LATE)
    environment = {"PYTHONPATH": FOLDER, "ATLASFLOW_ACL_RUN_MODE": mode}
    ended = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "[DEBUG] \n")
    assert int(ended.stdout.split()[0]) > 400


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
