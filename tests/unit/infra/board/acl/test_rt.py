import ctypes
import errno
import mmap
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from .conftest import FOLDER

H2H, H2D, D2H, D2D = range(4)


def test_the_order_of_life(fresh_acl):
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


def test_the_implicit_context_belongs_to_the_device(fresh_acl):
    acl = fresh_acl
    acl.init()
    acl.rt.set_device(0)
    context, code = acl.rt.get_context()
    assert code == 0
    assert acl.rt.destroy_context(context) == 107017
    assert acl.rt.malloc(16, 2)[1] == 0


def test_a_configuration_file_must_be_json(fresh_acl, tmp_path):
    path = tmp_path / "acl.json"
    assert fresh_acl.init(str(path)) == 100003
    path.write_text("{")
    assert fresh_acl.init(str(path)) == 100006
    assert "not valid JSON" in fresh_acl.get_recent_err_msg()
    assert fresh_acl.get_recent_err_msg() == ""
    path.write_text("")
    assert fresh_acl.init(str(path)) == 0


def test_the_machine_is_chosen_by_the_environment(fresh_acl, monkeypatch):
    monkeypatch.setenv("ATLASFLOW_ACL_SOC", "Ascend310P3")
    monkeypatch.setenv("ATLASFLOW_ACL_RUN_MODE", "host")
    monkeypatch.setenv("ATLASFLOW_ACL_DEVICES", "2")
    assert fresh_acl.get_soc_name() == "Ascend310P3"
    assert fresh_acl.rt.get_run_mode() == (1, 0)
    assert fresh_acl.rt.get_device_count() == (2, 0)


def test_a_thread_needs_a_context_of_its_own(acl):
    context, _ = acl.rt.get_context()
    codes = []

    def work():
        codes.append(acl.rt.malloc(8, 2)[1])
        codes.append(acl.rt.set_context(context))
        codes.append(acl.rt.malloc(8, 2)[1])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert codes == [107002, 0, 0]


def test_memory_is_real(acl):
    pointer, code = acl.rt.malloc(100, 2)
    assert code == 0
    assert ctypes.string_at(pointer, 4) != bytes(4)  # uninitialised memory does not look like zeros
    assert acl.rt.memset(pointer, 100, 7, 100) == 0
    assert ctypes.string_at(pointer + 96, 4) == b"\x07" * 4
    assert acl.rt.memset(pointer, 50, 0, 51) == 107000
    assert acl.rt.free(pointer) == 0
    assert acl.rt.free(pointer) == 107000
    assert acl.rt.free(0) == 100000


@pytest.mark.parametrize("size", [0, -1])
def test_no_memory_of_no_size(acl, size):
    assert acl.rt.malloc(size, 2) == (0, 100000)


def test_the_device_is_not_endless(acl):
    free, total, code = acl.rt.get_mem_info(0)
    assert (code, free) == (0, total)
    assert acl.rt.malloc(total + 1, 2) == (0, 207001)
    acl.rt.malloc(1000, 2)
    assert acl.rt.get_mem_info(1)[0] == total - 1000
    assert acl.rt.get_mem_info(7) == (0, 0, 100000)


def test_copies_check_their_ranges(acl):
    small, _ = acl.rt.malloc(32, 2)
    large, _ = acl.rt.malloc(4096, 2)
    assert acl.rt.memcpy(large, 4096, small, 32, D2D) == 0
    assert acl.rt.memcpy(small, 32, large, 64, D2D) == 107000  # more than the target says it holds
    assert acl.rt.memcpy(small, 4096, large, 4096, D2D) == 107000  # more than the target really holds
    assert acl.rt.memcpy(0, 32, large, 32, D2D) == 100000
    assert acl.rt.memcpy(small, 32, large, 32, 9) == 100000


@pytest.fixture
def cliff():
    """The address of a page behind which nothing can be read."""
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    memory[: mmap.PAGESIZE] = b"\x07" * mmap.PAGESIZE
    anchor = ctypes.c_char.from_buffer(memory)
    address = ctypes.addressof(anchor)
    protect = ctypes.CDLL(None).mprotect
    behind = ctypes.c_void_p(address + mmap.PAGESIZE)
    assert protect(behind, mmap.PAGESIZE, 0) == 0
    yield address
    assert protect(behind, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) == 0


@pytest.mark.parametrize("mode", ["device", "host"])
def test_copying_more_than_a_program_s_object_has_ends_where_nothing_lies(fresh_acl, cliff, monkeypatch, mode):
    """As programs do that copy what a model's largest size takes, whatever the size of their picture."""
    monkeypatch.setenv("ATLASFLOW_ACL_RUN_MODE", mode)
    acl = fresh_acl
    acl.init()
    acl.rt.set_device(0)
    size = 2 * mmap.PAGESIZE
    device, _ = acl.rt.malloc(size, 2)
    host, _ = acl.rt.malloc_host(size)
    assert acl.rt.memset(device, size, 9, size) == 0
    assert acl.rt.memcpy(device, size, cliff, size, H2D) == 0
    assert acl.rt.memcpy(host, size, device, size, D2H) == 0
    found = acl.util.ptr_to_bytes(host, size)
    assert found == b"\x07" * mmap.PAGESIZE + b"\x09" * mmap.PAGESIZE
    assert acl.rt.memcpy(device, size, cliff + mmap.PAGESIZE - 3, size, H2D) == 0
    assert acl.rt.memcpy(cliff, size, device, size, D2H) == 107000  # but nothing is written there
    assert acl.rt.memcpy(device, size, cliff + mmap.PAGESIZE, size, H2D) == 107000
    assert acl.rt.memcpy(device, size, 4096, 8, H2D) == 107000
    assert "are not this program's memory" in acl.get_recent_err_msg()


def test_where_the_kernel_may_not_be_asked_a_program_is_believed(acl, monkeypatch):
    def forbid(*_arguments):
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(sys.modules["acl._memory"]._libc, "process_vm_readv", forbid)
    data = bytes(range(256)) * 64
    pointer, _ = acl.rt.malloc(len(data), 2)
    assert acl.rt.memcpy(pointer, len(data), acl.util.bytes_to_ptr(data), len(data), D2D) == 0
    assert acl.util.ptr_to_bytes(pointer, len(data)) == data


def test_pointers_can_be_added_to(acl):
    base, _ = acl.rt.malloc(64, 2)
    data = bytes(range(32))
    assert acl.rt.memcpy(base + 32, 32, acl.util.bytes_to_ptr(data), 32, D2D) == 0
    assert acl.util.ptr_to_bytes(base + 32, 32) == data
    assert acl.rt.free(base + 32) == 107000
    assert acl.rt.free(base) == 0


def test_host_and_device_memory_are_freed_by_their_own_function(acl):
    host, _ = acl.rt.malloc_host(64)
    device, _ = acl.rt.malloc_align32(64, 0)
    assert acl.rt.free(host) == 107000
    assert acl.rt.free_host(device) == 107000
    assert acl.rt.free_host(host) == 0
    assert acl.rt.free(device) == 0


def test_in_host_mode_the_direction_must_be_true(host_mode, acl):
    device, _ = acl.rt.malloc(64, 2)
    host, _ = acl.rt.malloc_host(64)
    data = bytes(64)
    pointer = acl.util.bytes_to_ptr(data)
    wanted = {(pointer, device): H2D, (device, host): D2H, (host, pointer): H2H, (device, device): D2D}
    for (source, target), direction in wanted.items():
        for kind in range(4):
            code = acl.rt.memcpy(target, 64, source, 64, kind)
            assert code == (0 if kind == direction else 107016)
        assert acl.rt.memcpy(target, 64, source, 64, 4) == 0


def test_in_host_mode_device_memory_cannot_be_looked_at(host_mode, acl):
    device, _ = acl.rt.malloc(64, 2)
    with pytest.raises(PermissionError, match=r"test_rt\.py:\d+: the host touches device memory"):
        acl.util.ptr_to_bytes(device, 4)
    with pytest.raises(PermissionError, match=r"test_rt\.py"):
        acl.util.ptr_to_numpy(device, (4,), 2)
    host, _ = acl.rt.malloc_host(64)
    assert len(acl.util.ptr_to_bytes(host, 4)) == 4


def test_in_host_mode_a_raw_access_stops_at_its_line(tmp_path):
    program = tmp_path / "raw.py"
    program.write_text(
        "import ctypes, acl\n"
        "acl.init(); acl.rt.set_device(0)\n"
        "pointer, _ = acl.rt.malloc(64, 2)\n"
        "ctypes.string_at(pointer, 4)\n"
    )
    environment = {"PYTHONPATH": FOLDER, "ATLASFLOW_ACL_RUN_MODE": "host"}
    ended = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode < 0
    assert 'raw.py", line 4' in ended.stderr


def test_reset_takes_memory_back_but_not_under_an_array(acl):
    pointer, _ = acl.rt.malloc(64, 2)
    view = acl.util.ptr_to_numpy(pointer, (64,), 2)
    view[:] = 5
    assert acl.rt.reset_device(0) == 0
    assert view.sum() == 320
    assert acl.rt.free(pointer) == 107000


def test_a_stream_works_in_order_and_tells_its_failure_once(acl):
    stream, code = acl.rt.create_stream()
    assert code == 0
    pointer, _ = acl.rt.malloc(64, 2)
    assert acl.rt.memset_async(pointer, 64, 1, 64, stream) == 0
    assert acl.rt.memset_async(pointer, 64, 2, 32, stream) == 0
    assert acl.rt.synchronize_stream(stream) == 0
    assert acl.util.ptr_to_bytes(pointer, 64) == b"\x02" * 32 + b"\x01" * 32
    assert acl.rt.memcpy_async(pointer, 1, pointer, 2, D2D, stream) == 0
    assert acl.rt.synchronize_stream(stream) == 107000
    assert acl.rt.synchronize_device() == 0
    assert acl.rt.destroy_stream(stream) == 0
    assert acl.rt.synchronize_stream(stream) == 107017


def test_a_stream_belongs_to_its_context(acl):
    stream, _ = acl.rt.create_stream()
    acl.rt.create_context(0)
    assert acl.rt.synchronize_stream(stream) == 107003
    assert acl.rt.memset_async(1, 1, 1, 1, stream) == 107003


def test_the_null_stream_works_at_once(acl):
    pointer, _ = acl.rt.malloc(8, 2)
    assert acl.rt.memset_async(pointer, 8, 3, 8, 0) == 0
    assert acl.util.ptr_to_bytes(pointer, 8) == b"\x03" * 8
    assert acl.rt.synchronize_stream(0) == 0


def test_events(acl):
    stream, _ = acl.rt.create_stream()
    event, code = acl.rt.create_event()
    assert code == 0
    assert acl.rt.record_event(event, stream) == 0
    assert acl.rt.synchronize_event(event) == 0
    assert acl.rt.destroy_event(event) == 0
    assert acl.rt.synchronize_event(event) == 107017


def test_callbacks_run_in_the_thread_that_subscribed(acl):
    context, _ = acl.rt.get_context()
    stream, _ = acl.rt.create_stream()
    seen, leave = [], threading.Event()

    def reports(arguments):
        (number,) = arguments
        assert acl.rt.set_context(number) == 0
        while not leave.is_set():
            acl.rt.process_report(20)

    thread, code = acl.util.start_thread(reports, [context])
    assert code == 0
    assert acl.rt.launch_callback(seen.append, 0, 1, stream) == 107011
    assert acl.rt.subscribe_report(thread, stream) == 0
    assert acl.rt.subscribe_report(thread, stream) == 107011
    pointer, _ = acl.rt.malloc(8, 2)

    def callback(data):
        seen.append((threading.get_ident(), data, acl.util.ptr_to_bytes(pointer, 1)))

    for number in range(3):
        assert acl.rt.memset_async(pointer, 8, number, 8, stream) == 0
        assert acl.rt.launch_callback(callback, ["data", number], 1, stream) == 0
    assert acl.rt.launch_callback(callback, None, 2, stream) == 100000
    assert acl.rt.synchronize_stream(stream) == 0
    # A blocking callback holds the stream, so each saw the memory as it was at its place.
    assert seen == [(thread, ["data", number], bytes([number])) for number in range(3)]
    assert acl.rt.unsubscribe_report(thread + 1, stream) == 107012
    assert acl.rt.unsubscribe_report(thread, stream) == 0
    leave.set()
    assert acl.util.stop_thread(thread) == 0
    assert acl.util.stop_thread(thread) == 100000


def test_reports_time_out(acl):
    stream, _ = acl.rt.create_stream()
    assert acl.rt.process_report(1) == 107012
    acl.rt.subscribe_report(threading.get_ident(), stream)
    began = time.monotonic()
    assert acl.rt.process_report(30) == 507012
    assert time.monotonic() - began >= 0.03


def test_late_calls_at_exit_do_not_crash(tmp_path):
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
def test_every_call_at_the_very_end_is_answered(tmp_path, mode):
    """Neither an exception nor a wait: not even for a stream, whose thread could not start any more."""
    program = tmp_path / "late.py"
    program.write_text(LATE)
    environment = {"PYTHONPATH": FOLDER, "ATLASFLOW_ACL_RUN_MODE": mode}
    ended = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert int(ended.stdout.split()[0]) > 90


def test_only_acl_is_importable_from_the_stand_in_s_folder():
    program = (
        "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('acl', 'rt', 'ssh', 'agent', 'remote')])"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", program], env={"PYTHONPATH": FOLDER}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[True, False, False, False, False]"


def test_importing_acl_is_cheap():
    program = "import acl, sys; print('onnxruntime' in sys.modules, 'PIL' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": FOLDER}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "False False"


def test_bytes_get_what_is_copied_into_them(acl):
    """Programs receive results in the memory of a `bytes` object (ascend-domain.md §4.1)."""
    device, _ = acl.rt.malloc(64, 2)
    acl.rt.memset(device, 64, 9, 64)
    data = np.zeros(16, np.float32).tobytes()
    assert acl.rt.memcpy(acl.util.bytes_to_ptr(data), 64, device, 64, D2D) == 0
    assert data == b"\x09" * 64


def test_arrays_and_addresses(acl):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert acl.util.ptr_to_bytes(acl.util.numpy_to_ptr(array), 24) == array.tobytes()
    with pytest.raises(ValueError, match="C-contiguous"):
        acl.util.numpy_to_ptr(array.T)
    pointer, contiguous = acl.util.numpy_contiguous_to_ptr(array.T)
    assert contiguous.flags.c_contiguous
    assert acl.util.ptr_to_bytes(pointer, 24) == array.T.tobytes()
    with pytest.raises(TypeError):
        acl.util.bytes_to_ptr(bytearray(3))


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(0, "bool"), (1, "i1"), (2, "u1"), (5, "i4"), (7, "i8"), (11, "f4"), (12, "f8"), (23, "f2")],
)
def test_numpy_s_own_numbers_of_types(acl, number, dtype):
    pointer, _ = acl.rt.malloc(64, 2)
    array = acl.util.ptr_to_numpy(pointer, (2, 4), number)
    assert (array.dtype, array.shape) == (np.dtype(dtype), (2, 4))
    array[:] = 1
    assert acl.util.ptr_to_bytes(pointer, array.nbytes) == array.tobytes()


def test_an_unknown_type_number(acl):
    with pytest.raises(ValueError, match="99"):
        acl.util.ptr_to_numpy(1, (1,), 99)


def test_tensor_descriptions(acl):
    assert acl.data_type_size(0) == 4
    assert acl.data_type_size(1) == 2
    assert acl.data_type_size(99) == 0
    description = acl.create_tensor_desc(0, [1, 3, 8, 8], 0)
    assert acl.get_tensor_desc_size(description) == 768
    assert acl.destroy_tensor_desc(description) is None
    assert acl.get_tensor_desc_size(description) == 0
    assert acl.create_tensor_desc(0, [1] * 129, 0) == 0
