"""Real, addressable memory: every allocation is its own anonymous mapping.

In host mode device memory is unreadable except during the stand-in's own work, so that a program that accesses it stops
at that line, as it would with a real card.
"""

import bisect
import ctypes
import errno
import faulthandler
import mmap
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from . import _codes
from ._shapes import AclError
from ._world import run_mode

TOTAL = 8 * 1024**3  # bytes of memory that a board reports
_FILL = 0xA5  # memory is uninitialised on a board, so it is not zero here

_HERE = __file__.rpartition("/")[0]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_Spans, _Count = ctypes.c_void_p, ctypes.c_ulong
_libc.process_vm_readv.argtypes = [ctypes.c_int, _Spans, _Count, _Spans, _Count, _Count]
_libc.process_vm_readv.restype = ctypes.c_ssize_t
_SPANS = 1024  # the limit of Linux
_PROT_NONE, _PROT_READ_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE


@dataclass
class Block:
    """One allocation; `size` as requested, `room` as usable: rounded up to 32, plus 32 (pyacl.md §4.1)."""

    address: int
    size: int
    room: int
    device: bool
    mapping: mmap.mmap = field(repr=False)
    protected: bool = False
    users: int = 0


class Memory:
    """All allocations, by address."""

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self._addresses: list[int] = []
        self._lock = threading.RLock()
        self.used = 0

    def allocate(self, size: int, *, device: bool, round_up: bool = True) -> int:
        """Allocate `size` bytes; returns the address."""
        if size <= 0:
            raise AclError(_codes.INVALID_PARAM, f"{size} bytes cannot be allocated")
        if self.used + size > TOTAL:
            raise AclError(_codes.RT_MEMORY_ALLOCATION, f"{size} bytes are more than the board has left")
        room = -(-size // 32) * 32 + (32 if round_up else 0)
        mapping = mmap.mmap(-1, room)
        anchor = ctypes.c_char.from_buffer(mapping)
        block = Block(ctypes.addressof(anchor), size, room, device, mapping)
        del anchor
        ctypes.memset(block.address, _FILL, room)
        block.protected = device and run_mode() == _codes.HOST
        with self._lock:
            self._blocks[block.address] = block
            bisect.insort(self._addresses, block.address)
            self.used += size
            if block.protected:
                _explain_crashes()
                _protect(block, _PROT_NONE)
        return block.address

    def free(self, address: int, *, device: bool) -> None:
        """Free a block by its first address."""
        if not address:
            raise AclError(_codes.INVALID_PARAM, "the address is null")
        with self._lock:
            block = self._blocks.get(address)
            if block is None or block.device != device:
                raise AclError(
                    _codes.RT_PARAM_INVALID, f"{address:#x} was not allocated like that, or is freed already"
                )
            if block.protected:
                _protect(block, _PROT_READ_WRITE)
            del self._blocks[address]
            self._addresses.remove(address)
            self.used -= block.size

    def find(self, address: int) -> Block | None:
        """The block of an address."""
        with self._lock:
            position = bisect.bisect_right(self._addresses, address) - 1
            if position < 0:
                return None
            block = self._blocks[self._addresses[position]]
            return block if address < block.address + block.room else None

    def check(self, address: int, size: int) -> Block | None:
        """Refuse a null address and a range that leaves its block."""
        if not address:
            raise AclError(_codes.INVALID_PARAM, "the address is null")
        block = self.find(address)
        if block is not None and address + size > block.address + block.room:
            raise AclError(_codes.RT_PARAM_INVALID, f"{size} bytes from {address:#x} are more than was allocated there")
        return block

    @contextmanager
    def view(self, address: int, size: int, *, short: bool = False) -> Iterator[npt.NDArray[np.uint8]]:
        """The bytes at an address, readable and writable by the stand-in during the block.

        Programs copy more bytes than an object has; the published sample of dynamic image sizes always copies the
        largest size. A board copies whatever follows. With `short` the view ends at unmapped memory, which is an
        error without it.
        """
        block = self.check(address, size)
        if block is None:
            present = _readable(address, size)
            if present < size and not (short and present):
                raise AclError(_codes.RT_PARAM_INVALID, f"{size} bytes from {address:#x} are not this program's memory")
            size = present
        with ExitStack() as stack:
            if block is not None and block.protected:
                stack.enter_context(self._open(block))
            yield _array(block, address, size)

    def host_view(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """The bytes at an address for the program itself; keeps the block alive.

        Raises:
            PermissionError: device memory in host mode; the traceback names the program's line.
        """
        block = self.find(address)
        if block is not None and block.protected:
            caller = sys._getframe(2)
            while caller.f_back is not None and caller.f_code.co_filename.startswith(_HERE):
                caller = caller.f_back  # to the program, above the stand-in
            raise PermissionError(
                f"{caller.f_code.co_filename}:{caller.f_lineno}: the host touches device memory at {address:#x}; "
                "copy it with acl.rt.memcpy (device to host) first"
            )
        return _array(block, address, size)

    def release_all(self, *, device: bool) -> None:
        """Free all blocks of one side; arrays that use a block keep it alive."""
        for address in [block.address for block in self._blocks.values() if block.device == device]:
            self.free(address, device=device)

    @contextmanager
    def _open(self, block: Block) -> Iterator[None]:
        with self._lock:
            block.users += 1
            _protect(block, _PROT_READ_WRITE)
        try:
            yield
        finally:
            with self._lock:
                block.users -= 1
                if block.users == 0 and self._blocks.get(block.address) is block:
                    _protect(block, _PROT_NONE)


def _array(block: Block | None, address: int, size: int) -> npt.NDArray[np.uint8]:
    if block is None:
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
    return np.frombuffer(block.mapping, np.uint8, size, address - block.address)


def _readable(address: int, size: int) -> int:
    """The number of readable bytes at an address; the kernel reads one in each page, so that nothing crashes here."""
    tries: list[int] = [address, *range((address // mmap.PAGESIZE + 1) * mmap.PAGESIZE, address + size, mmap.PAGESIZE)]
    landing = ctypes.create_string_buffer(_SPANS)
    for first in range(0, len(tries), _SPANS):
        part = tries[first : first + _SPANS]
        spans = (ctypes.c_size_t * (2 * len(part)))(*(number for start in part for number in (start, 1)))
        target = (ctypes.c_size_t * 2)(ctypes.addressof(landing), len(part))
        done: int = _libc.process_vm_readv(os.getpid(), target, 1, spans, len(part), 0)
        if done < 0 and ctypes.get_errno() != errno.EFAULT:
            return size  # a sandbox forbids the call; assume that all bytes are readable
        if done < len(part):
            return max(tries[first + max(done, 0)] - address, 0)
    return size


def _protect(block: Block, protection: int) -> None:
    if _libc.mprotect(block.address, block.room, protection) != 0:
        raise OSError(ctypes.get_errno(), "mprotect failed")


def _explain_crashes() -> None:
    """Report the line of a raw access to protected memory."""
    if not faulthandler.is_enabled():
        faulthandler.enable()


MEMORY = Memory()
