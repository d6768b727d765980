"""Set up MindSpore, above all on a CPU, where its default settings are slow (docs/reference/mindspore.md §6.2).

Call `prepare` before the first import of MindSpore, and the other functions after it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import statistics
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..failures import InputError, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TRIAL = 10  # steps timed per layout
_ACCELERATOR = Path("/dev/davinci_manager")  # the Ascend driver's device node


def device() -> str:
    """Return `Ascend` if its driver is installed, else `CPU`."""
    return "Ascend" if _ACCELERATOR.exists() else "CPU"


def role() -> str:
    """Return the role of this process in a distributed training: `first`, `other`, or msrun's `scheduler`.

    Raises:
        InputError: there are several processes, but the settings that connect them are missing.
    """
    if os.environ.get("MS_ROLE") == "MS_SCHED":
        return "scheduler"
    _check_rank_settings()
    return "first" if os.environ.get("RANK_ID", "0") == "0" else "other"


def _check_rank_settings() -> None:
    """Check that several processes or nodes do not train independently and write the same results.

    msrun sets MS_ROLE; Ascend's launcher sets RANK_ID, RANK_SIZE and RANK_TABLE_FILE for each device
    (docs/reference/modelarts.md §1.6); MA_NUM_HOSTS is the number of nodes of a ModelArts job.
    """
    if "MS_ROLE" in os.environ:
        return
    devices = os.environ.get("RANK_SIZE", "1")
    if int(devices) > 1 and "RANK_TABLE_FILE" not in os.environ:
        raise InputError(
            f"RANK_SIZE is {devices}, but RANK_TABLE_FILE, which connects the devices, is not set",
            "start it with msrun, or with the launcher of the training service",
        )
    nodes = os.environ.get("MA_NUM_HOSTS", "1")
    if nodes.isdigit() and int(nodes) > 1 and "RANK_ID" not in os.environ:
        raise InputError(
            f"this job has {nodes} nodes, but RANK_ID is not set, so each would train independently",
            "set modelarts.node_count to 1, or use an engine that starts one process per device",
        )


def _set_device(mindspore: Any) -> None:
    """Select the device: on Ascend that of DEVICE_ID, except under msrun, which assigns the devices."""
    if not hasattr(mindspore, "set_device"):
        raise Refusal(
            f"MindSpore 2 with mindspore.set_device is required, but MindSpore {mindspore.__version__} is installed",
            "choose an engine with a later MindSpore (modelarts.engine)",
        )
    if device() == "Ascend" and "MS_ROLE" not in os.environ:
        mindspore.set_device("Ascend", int(os.environ.get("DEVICE_ID", "0")))
    else:
        mindspore.set_device(device())


def prepare(seed: int) -> None:
    """Set up MindSpore for this process.

    MindSpore requests plain NCHW from oneDNN, whose AVX-512 paths have only reference convolutions for it; limited to
    AVX2, oneDNN uses compiled ones (7 instead of 60 to 110 ms per step of LeNet5).

    Raises:
        RuntimeError: MindSpore is imported already, so the settings would have no effect.
        Refusal: MindSpore is too old.
    """
    if "mindspore" in sys.modules:
        raise RuntimeError("mindspore was imported before models.training.runtime.prepare")
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
    os.environ.setdefault("GLOG_v", "3")
    import mindspore  # noqa: PLC0415 - the settings above must come first

    _set_device(mindspore)
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    mindspore.set_deterministic(True)
    mindspore.set_seed(seed)
    if "MS_ROLE" in os.environ or int(os.environ.get("RANK_SIZE", "1")) > 1:
        mindspore.communication.init()
        mindspore.set_auto_parallel_context(parallel_mode="data_parallel", gradients_mean=True)


def ranks() -> tuple[int, int]:
    """Return the index of this device and the number of devices (`msrun`, or Ascend's rank table)."""
    from mindspore import communication  # noqa: PLC0415 - `prepare` comes first

    if not communication.GlobalComm.INITED:
        return 0, 1
    return communication.get_rank(), communication.get_group_size()


class Layout:
    """Placement of MindSpore's threads: free or pinned.

    Pinned means: the main thread on the first core, all others on the remaining cores. On some machines a step is then
    five times as fast (docs/reference/mindspore.md §6.2). The first steps are timed in both placements and the faster
    one is kept; the results are equal. Threads are not pinned on a single core, outside Linux, on Ascend, in a
    distributed training, or while another training of this user runs; if one starts, `refresh` ends the pinning.

    Args:
        possible: False never pins.
        alone: returns True if no other training of this user runs.
    """

    def __init__(self, possible: bool, alone: Callable[[], bool] = lambda: True) -> None:
        self._free = sorted(os.sched_getaffinity(0)) if possible else []
        self._alone = alone
        self._times: list[float] = []
        self.pinned = False

    def on_step(self, seconds: float) -> None:
        """Record the duration of a step in seconds. The first step, which compiles, is ignored."""
        if not self._free or len(self._times) > 2 * _TRIAL:
            return
        self._times.append(seconds)
        if len(self._times) == _TRIAL + 1:
            self._pin()
        elif len(self._times) == 2 * _TRIAL + 1:
            free, pinned = self._times[1 : _TRIAL + 1], self._times[_TRIAL + 1 :]
            if statistics.median(pinned) >= statistics.median(free):
                self.release()

    def refresh(self) -> None:
        """Place new threads; stop pinning if another training runs."""
        if not self._free:
            return
        if not self._alone():
            self.release()
            self._free = []
        elif self.pinned:
            self._pin()

    def release(self) -> None:
        """Let all threads use all cores again."""
        if self.pinned:
            self._place(set(self._free), set(self._free))
            self.pinned = False

    def _pin(self) -> None:
        self._place({self._free[0]}, set(self._free[1:]))
        self.pinned = True

    @staticmethod
    def _place(main: set[int], others: set[int]) -> None:
        for thread in map(int, os.listdir("/proc/self/task")):  # noqa: PTH208 - names only
            try:
                os.sched_setaffinity(thread, main if thread == os.getpid() else others)
            except OSError as error:
                # The thread has ended, or its cores are no longer available to this process.
                if error.errno not in (errno.ESRCH, errno.EINVAL):
                    raise


@contextmanager
def layout(kernels: bool = False) -> Iterator[Layout]:
    """Yield the `Layout` of a training; afterwards all threads can use all cores.

    Args:
        kernels: True with the compiled kernels, whose own threads need no pinning.
    """
    alone = not kernels and device() == "CPU" and ranks()[1] == 1
    able = sys.platform == "linux" and alone and len(os.sched_getaffinity(0)) > 1
    path = Path(tempfile.gettempdir()) / f"atlasflow-trainings-{os.getuid()}.lock"
    with path.open("a", encoding="utf-8") as lock:
        only = _shared(lock.fileno())
        chosen = Layout(able and only, lambda: _shared(lock.fileno()))
        try:
            yield chosen
        finally:
            chosen.release()


def _shared(lock: int) -> bool:
    """Hold a shared lock; return True if no other process holds it (an exclusive lock succeeds)."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        only = False
    else:
        only = True
    fcntl.flock(lock, fcntl.LOCK_SH)
    return only
