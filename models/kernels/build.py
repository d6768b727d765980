"""Build the training kernels for the CPU with this machine's compiler.

oneDNN, which MindSpore bundles, computes convolutions several times faster in its own layouts than in the plain layout
that MindSpore requests. The kernels use these layouts, and implement batch normalisation, max-pooling and ReLU6.
Without a compiler, training runs at MindSpore's own speed. Standard library only, so that a command line loads it
quickly.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWITCH = "ATLASFLOW_KERNELS"
"""Environment variable: `off` disables the kernels; another value is the folder of the compiled kernels."""

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]
_LIBRARY, _ONEDNN, _FAILED = "kernels.so", "onednn.so", "failed.txt"
# The compiler may fuse multiply-adds, as by default; no flag lets it reorder sums.
OPTIMISED = ("-O3", "-march=native", "-std=c++17")
_FLAGS = (*OPTIMISED, "-shared", "-fPIC")
_LINKED = ("-ldl", "-lpthread")
_SECONDS = 300
_UNUSED_SECONDS = 7 * 24 * 3600
_KILL_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)

_build_problem = ""  # why the last call of `library` failed


def library() -> Path | None:
    """Return the compiled kernels of this machine, built on the first call; None if they are unavailable.

    They are cached in `$ATLASFLOW_HOME/kernels` by source, compiler, processor and oneDNN. A failed compilation is not
    repeated, and `unavailable_reason` returns its cause. Temporary problems are retried on the next call: a read-only
    folder, a full disk, a compiler that was killed or exceeded the time limit.
    """
    global _build_problem  # noqa: PLW0603 - per process, for `unavailable_reason`
    _build_problem = ""
    try:
        folder = _folder()
        if folder is None:
            return None
        if not folder.is_dir():
            _build(folder)
        with contextlib.suppress(OSError):  # a read-only folder is never cleaned up
            os.utime(folder)
        path = folder / _LIBRARY
        return path if path.is_file() else None
    except OSError as error:
        _build_problem = f"they cannot be built: {error}"
        return None


def unavailable_reason() -> str:
    """Return why `library` returns None."""
    if os.environ.get(SWITCH) == "off":
        return f"{SWITCH} is off"
    if _build_problem:
        return _build_problem
    folder = _folder()
    if folder is None:
        return "there is no C++ compiler" if _onednn() is not None else "MindSpore for Linux on x86-64 is not installed"
    failed = folder / _FAILED
    return f"see {failed}" if failed.is_file() else ""


def cores(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may use at a time: by its affinity, and by its container's quota, rounded up.

    More threads than that would wait for each other while the quota lets none of them run.

    Args:
        groups: where Linux shows the control groups, a container's own at the root (`cpu.max` of cgroup-v2.rst,
            `cpu.cfs_quota_us` of sched-bwc.rst in the kernel's documentation).
    """
    allowed = len(os.sched_getaffinity(0))
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((groups / name).read_text(encoding="ascii") for name in names).split()
        except (OSError, ValueError):  # no such version of control groups, or a file of another form
            continue
        if quota not in ("max", "-1"):
            return max(1, min(allowed, math.ceil(int(quota) / int(period))))
    return allowed


def start(path: Path, threads: int) -> None:
    """Load the kernels into this process. Call it once.

    Args:
        path: result of `library`.
        threads: number of threads that the kernels may use.

    Raises:
        RuntimeError: the kernels do not start.
    """
    if ctypes.CDLL(str(path)).kernels_start(threads) != 0:
        raise RuntimeError(f"the kernels {path} do not start; remove their folder, or set {SWITCH}=off")


def _folder() -> Path | None:
    compiler, onednn = _compiler(), _onednn()
    if os.environ.get(SWITCH) == "off" or compiler is None or onednn is None:
        return None
    key = hashlib.sha256("\n".join([*_FLAGS, _stamp(compiler), _stamp(onednn), _processor()]).encode())
    for source in sorted(_HERE.glob("*.cc")) + sorted(_HERE.glob("*.h")):
        key.update(source.name.encode() + b"\0" + source.read_bytes())
    home = Path(os.environ.get("ATLASFLOW_HOME") or _CHECKOUT / ".atlasflow")
    return Path(os.environ.get(SWITCH) or home / "kernels").absolute() / key.hexdigest()[:20]


def _compiler() -> Path | None:
    found = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    return None if found is None else Path(found).resolve()


def _onednn() -> Path | None:
    """Find the library in MindSpore's package without importing it."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    package = importlib.util.find_spec("mindspore")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "lib" / "libdnnl.so.3"
    return path if path.is_file() else None


def _stamp(path: Path) -> str:
    state = path.stat()
    return f"{path} {state.st_size} {state.st_mtime_ns}"


def _processor() -> str:
    """Describe the first processor: its instruction sets determine the compiled code."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    return "\n".join(
        line for line in lines if line.split(":")[0].strip() in ("vendor_id", "model", "stepping", "flags")
    )


def processor_has(*flags: str) -> bool:
    """Return True if Linux lists one of the flags for the first processor."""
    words = set(_processor().split())
    return any(flag in words for flag in flags)


def _build(folder: Path) -> None:
    """Compile in a temporary folder and rename it to `folder`, which is atomic with concurrent builds."""
    compiler, onednn = _compiler(), _onednn()
    if compiler is None or onednn is None:
        raise FileNotFoundError("compiler or library was removed during the build")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=folder.parent) as text:
        place = Path(text) / "kernels"
        place.mkdir()
        # A copy is loaded as a separate library with separate settings.
        shutil.copyfile(onednn, place / _ONEDNN)
        sources = [str(path) for path in sorted(_HERE.glob("*.cc"))]
        problem = _run([str(compiler), *_FLAGS, *sources, "-o", str(place / _LIBRARY), *_LINKED])
        if not problem:
            code = "import ctypes, sys; sys.exit(ctypes.CDLL(sys.argv[1]).kernels_start(1))"
            problem = _run([sys.executable, "-c", code, str(place / _LIBRARY)])
        if problem:
            for path in place.iterdir():
                path.unlink()
            (place / _FAILED).write_text(problem, encoding="utf-8")
        try:
            place.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process has built it
                raise
    # MindSpore opens the library again for each operator, so keep recently used ones; other environments may share
    # the folder.
    for other in folder.parent.glob("?" * len(folder.name)):
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            if other.stat().st_mtime < time.time() - _UNUSED_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def _run(command: list[str]) -> str:
    """Run a command and return its error text, empty on success.

    Raises:
        OSError: the command exceeded the time limit or was killed, so a retry may succeed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{command[0]} took more than {_SECONDS} seconds") from error
    # A compiler's driver survives when its subprocess is killed (mostly out of memory), and then prints this.
    if -done.returncode in _KILL_SIGNALS or "signal terminated program" in done.stderr:
        raise ChildProcessError(f"{command[0]} was killed: exit code {done.returncode} {done.stderr[-500:]}".rstrip())
    return "" if done.returncode == 0 else f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}"
