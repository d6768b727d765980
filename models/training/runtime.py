"""Setting MindSpore up, above all on a CPU, where the stock settings are slow (docs/reference/mindspore.md §6.2).

`prepare` comes before the first import of MindSpore; everything else is called after it.
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

_TRIAL = 10  # steps timed for each layout
_ACCELERATOR = Path("/dev/davinci_manager")  # the Ascend driver's device node


def device() -> str:
    """`Ascend` where its driver is, else `CPU`."""
    return "Ascend" if _ACCELERATOR.exists() else "CPU"


def role() -> str:
    """What this process is among those that train together: `first`, `other`, or the waiting `scheduler` of msrun.

    Raises:
        InputError: it is one of several, and nothing says how they find each other.
    """
    if os.environ.get("MS_ROLE") == "MS_SCHED":
        return "scheduler"
    _check_company()
    return "first" if os.environ.get("RANK_ID", "0") == "0" else "other"


def _check_company() -> None:
    """Refuse to be one of several processes or nodes that would each train alone, and write the same results.

    msrun sets MS_ROLE; Ascend's launcher sets RANK_ID, RANK_SIZE and RANK_TABLE_FILE for each device
    (docs/reference/modelarts.md §1.6), and MA_NUM_HOSTS is how many nodes a ModelArts job has.
    """
    if "MS_ROLE" in os.environ:
        return
    devices = os.environ.get("RANK_SIZE", "1")
    if int(devices) > 1 and "RANK_TABLE_FILE" not in os.environ:
        raise InputError(
            f"RANK_SIZE is {devices}, but there is no RANK_TABLE_FILE by which the devices find each other",
            "start it with msrun, or with the launcher of the training service",
        )
    nodes = os.environ.get("MA_NUM_HOSTS", "1")
    if nodes.isdigit() and int(nodes) > 1 and "RANK_ID" not in os.environ:
        raise InputError(
            f"this job has {nodes} nodes, but nothing tells this process its RANK_ID, so each would train alone",
            "set modelarts.node_count to 1, or take an engine whose launcher starts one process a device",
        )


def _set_device(mindspore: Any) -> None:
    """Choose the device: on Ascend the one of DEVICE_ID, except under msrun, which gives each process its own."""
    if not hasattr(mindspore, "set_device"):
        raise Refusal(
            f"this needs MindSpore 2 with mindspore.set_device, but here is MindSpore {mindspore.__version__}",
            "choose an engine with a later MindSpore (modelarts.engine)",
        )
    if device() == "Ascend" and "MS_ROLE" not in os.environ:
        mindspore.set_device("Ascend", int(os.environ.get("DEVICE_ID", "0")))
    else:
        mindspore.set_device(device())


def prepare(seed: int) -> None:
    """Set up MindSpore for this process.

    MindSpore's oneDNN asks for plain NCHW, for which the AVX-512 code paths have only reference convolutions; held to
    AVX2 it finds compiled ones (7 against 60 to 110 ms a step of LeNet5).

    Raises:
        RuntimeError: MindSpore was imported before, so that the setting would have no effect.
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
    """The number of this device from 0, and how many devices train together (`msrun`, or Ascend's rank table)."""
    from mindspore import communication  # noqa: PLC0415 - `prepare` comes first

    if not communication.GlobalComm.INITED:
        return 0, 1
    return communication.get_rank(), communication.get_group_size()


class Layout:
    """Where MindSpore's threads run: as the system likes, or pinned.

    Pinned means the main thread on the first core and all others on the rest, which on some machines makes a step five
    times as fast (docs/reference/mindspore.md §6.2). The first steps are timed in both ways and the faster one is kept;
    what is computed stays the same. Nothing is pinned on one core, off Linux, on Ascend, among several processes, or
    while another training of this user runs; one that starts later ends the pinning at the next `refresh`.

    Args:
        possible: False never pins.
        alone: tells whether no other training of this user runs.
    """

    def __init__(self, possible: bool, alone: Callable[[], bool] = lambda: True) -> None:
        self._free = sorted(os.sched_getaffinity(0)) if possible else []
        self._alone = alone
        self._times: list[float] = []
        self.pinned = False

    def stepped(self, seconds: float) -> None:
        """Note how long a step took. The first, which compiles, is left out."""
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
        """Move threads that were started meanwhile to their place; give it all up when there is another training."""
        if not self._free:
            return
        if not self._alone():
            self.release()
            self._free = []
        elif self.pinned:
            self._pin()

    def release(self) -> None:
        """Give all threads all cores back."""
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
                # The thread has ended since it was listed, or its cores were taken away from this process.
                if error.errno not in (errno.ESRCH, errno.EINVAL):
                    raise


@contextmanager
def layout(kernels: bool = False) -> Iterator[Layout]:
    """A `Layout` for a training; every thread has all cores again afterwards.

    Args:
        kernels: the compiled kernels are at work, whose threads no others can hold up, so that nothing is pinned.
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
    """Hold a lock together with others; True when there are none, which is when it can be had alone for a moment."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        only = False
    else:
        only = True
    fcntl.flock(lock, fcntl.LOCK_SH)
    return only
