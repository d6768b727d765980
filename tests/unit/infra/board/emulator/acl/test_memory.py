import ctypes
import errno
import mmap
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import D2D, D2H, FOLDER, H2D, H2H


def test_memory_is_real(acl: Any) -> None:
    pointer, code = acl.rt.malloc(100, 2)
    assert code == 0
    assert ctypes.string_at(pointer, 4) != bytes(4)  # uninitialised memory does not look like zeros
    assert acl.rt.memset(pointer, 100, 7, 100) == 0
    assert ctypes.string_at(pointer + 96, 4) == b"\x07" * 4
    assert acl.rt.memset(pointer, 50, 0, 51) == 107000
    assert acl.rt.free(pointer) == 0
    assert acl.rt.free(pointer) == 107000
    assert acl.rt.free(0) == 100000


def test_no_memory_of_no_size(acl: Any) -> None:
    assert acl.rt.malloc(0, 2) == (0, 100000)
    assert acl.rt.malloc(-1, 2) == (0, 207001)  # the binding passes it on as 2**64 - 1


def test_device_memory_is_limited(acl: Any) -> None:
    free, total, code = acl.rt.get_mem_info(0)
    assert (code, free) == (0, total)
    assert acl.rt.malloc(total + 1, 2) == (0, 207001)
    acl.rt.malloc(1000, 2)
    assert acl.rt.get_mem_info(1)[0] == total - 1000
    assert acl.rt.get_mem_info(7) == (0, 0, 100000)


def test_copies_check_their_ranges(acl: Any) -> None:
    small, _ = acl.rt.malloc(32, 2)
    large, _ = acl.rt.malloc(4096, 2)
    assert acl.rt.memcpy(large, 4096, small, 32, D2D) == 0
    assert acl.rt.memcpy(small, 32, large, 64, D2D) == 107000  # more than the target says it holds
    assert acl.rt.memcpy(small, 4096, large, 4096, D2D) == 107000  # more than the target really holds
    assert acl.rt.memcpy(0, 32, large, 32, D2D) == 100000
    assert acl.rt.memcpy(small, 32, large, 32, 9) == 100000


@pytest.fixture
def cliff() -> Iterator[Any]:
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
def test_copying_more_than_a_program_s_object_has_ends_where_nothing_lies(
    fresh_acl: Any, cliff: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
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


def test_where_the_kernel_may_not_be_asked_a_program_is_believed(acl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_arguments: Any) -> int:
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(sys.modules["acl._memory"]._libc, "process_vm_readv", forbid)
    data = bytes(range(256)) * 64
    pointer, _ = acl.rt.malloc(len(data), 2)
    assert acl.rt.memcpy(pointer, len(data), acl.util.bytes_to_ptr(data), len(data), D2D) == 0
    assert acl.util.ptr_to_bytes(pointer, len(data)) == data


def test_pointers_can_be_added_to(acl: Any) -> None:
    base, _ = acl.rt.malloc(64, 2)
    data = bytes(range(32))
    assert acl.rt.memcpy(base + 32, 32, acl.util.bytes_to_ptr(data), 32, D2D) == 0
    assert acl.util.ptr_to_bytes(base + 32, 32) == data
    assert acl.rt.free(base + 32) == 107000
    assert acl.rt.free(base) == 0


def test_host_and_device_memory_are_freed_by_their_own_function(acl: Any) -> None:
    host, _ = acl.rt.malloc_host(64)
    device, _ = acl.rt.malloc_align32(64, 0)
    assert acl.rt.free(host) == 107000
    assert acl.rt.free_host(device) == 107000
    assert acl.rt.free_host(host) == 0
    assert acl.rt.free(device) == 0


def test_the_direction_matters_only_for_a_copy_in_a_stream(host_mode: Any, acl: Any) -> None:
    device, _ = acl.rt.malloc(64, 2)
    host, _ = acl.rt.malloc_host(64)
    data = bytes(64)
    pointer = acl.util.bytes_to_ptr(data)
    stream, _ = acl.rt.create_stream()
    wanted = {(pointer, device): H2D, (device, host): D2H, (host, pointer): H2H, (device, device): D2D}
    for (source, target), direction in wanted.items():
        for kind in range(5):
            assert acl.rt.memcpy(target, 64, source, 64, kind) == 0
            code = acl.rt.memcpy_async(target, 64, source, 64, kind, stream)
            assert code == (0 if kind in (direction, 4) else 107016)
    assert acl.rt.memcpy(device, 64, host, 64, 5) == 100000


def test_nothing_to_copy_needs_no_address(acl: Any) -> None:
    pointer, _ = acl.rt.malloc(64, 2)
    assert acl.rt.memcpy(0, 0, 0, 0, 0) == 0
    assert acl.rt.memset(0, 0, 0, 0) == 0
    assert acl.rt.memcpy(0, 8, pointer, 8, 0) == 100000
    assert acl.rt.memset(0, 8, 0, 8) == 100000


def test_rows_are_copied_between_rows_of_other_lengths(acl: Any) -> None:
    source, _ = acl.rt.malloc(8, 2)
    target, _ = acl.rt.malloc(12, 2)
    acl.rt.memset(target, 12, 0, 12)
    acl.util.ptr_to_numpy(source, (8,), 2)[:] = range(8)
    assert acl.rt.memcpy2d(target, 6, source, 4, 3, 2, D2D) == 0
    assert acl.util.ptr_to_bytes(target, 12) == bytes([0, 1, 2, 0, 0, 0, 4, 5, 6, 0, 0, 0])
    assert acl.rt.memcpy2d(target, 6, source, 4, 5, 2, D2D) == 107000


def test_in_host_mode_device_memory_cannot_be_looked_at(host_mode: Any, acl: Any) -> None:
    device, _ = acl.rt.malloc(64, 2)
    with pytest.raises(PermissionError, match=r"test_memory\.py:\d+: the host touches device memory"):
        acl.util.ptr_to_bytes(device, 4)
    with pytest.raises(PermissionError, match=r"test_memory\.py"):
        acl.util.ptr_to_numpy(device, (4,), 2)
    host, _ = acl.rt.malloc_host(64)
    assert len(acl.util.ptr_to_bytes(host, 4)) == 4


def test_in_host_mode_a_raw_access_stops_at_its_line(tmp_path: Path) -> None:
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


def test_reset_takes_memory_back_but_not_under_an_array(acl: Any) -> None:
    pointer, _ = acl.rt.malloc(64, 2)
    view = acl.util.ptr_to_numpy(pointer, (64,), 2)
    view[:] = 5
    assert acl.rt.reset_device(0) == 0
    assert view.sum() == 320
    assert acl.rt.free(pointer) == 107000
