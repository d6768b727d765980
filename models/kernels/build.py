"""The project's own training kernels for a CPU, compiled by this machine's compiler when there is one.

`oneDNN`, which MindSpore brings, computes convolutions several times faster in its own layouts than in the plain one
that MindSpore asks for; the kernels here use it so, and do batch normalisation and max-pooling besides. Without a
compiler, training works at MindSpore's own speed. Standard library only, so that a command line can ask quickly.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
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
"""Environment variable: `off` does without the kernels; anything else is the folder to keep them in."""

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]
_LIBRARY, _ONEDNN, _FAILED = "kernels.so", "onednn.so", "failed.txt"
# Contraction into fused multiply-adds is what the compiler does anyway; nothing here lets it reorder sums.
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")
_LINKED = ("-ldl", "-lpthread")
_SECONDS = 300
_UNUSED_SECONDS = 7 * 24 * 3600
_FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)

_hindrance = ""  # what kept `library` from finding or building them the last time it was asked


def library() -> Path | None:
    """The compiled kernels of this machine, compiled now if need be; None where there are none.

    They are kept in `$ATLASFLOW_HOME/kernels`, named after source, compiler, processor and oneDNN. When compiling
    failed, `why_not` says how, and it is not tried again. What may be over the next time is tried again then: a folder
    that cannot be written, a full disk, a compiler that took too long or was ended.
    """
    global _hindrance  # noqa: PLW0603 - of this process, for `why_not`
    _hindrance = ""
    try:
        folder = _folder()
        if folder is None:
            return None
        if not folder.is_dir():
            _build(folder)
        with contextlib.suppress(OSError):  # where they cannot be written, nothing of ours removes them either
            os.utime(folder)
        path = folder / _LIBRARY
        return path if path.is_file() else None
    except OSError as error:
        _hindrance = f"they cannot be built: {error}"
        return None


def why_not() -> str:
    """Why there are no kernels, when `library` gives None."""
    if os.environ.get(SWITCH) == "off":
        return f"{SWITCH} is off"
    if _hindrance:
        return _hindrance
    folder = _folder()
    if folder is None:
        return "there is no C++ compiler" if _onednn() is not None else "MindSpore for Linux on x86-64 is not installed"
    failed = folder / _FAILED
    return f"see {failed}" if failed.is_file() else ""


def start(path: Path, threads: int) -> None:
    """Load the kernels into this process, once.

    Args:
        path: what `library` gave.
        threads: how many the kernels may use.

    Raises:
        RuntimeError: they cannot start here.
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
    """The library in MindSpore's package, which is not imported."""
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
    """The first processor's description, of which the instruction sets decide what is compiled."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    return "\n".join(
        line for line in lines if line.split(":")[0].strip() in ("vendor_id", "model", "stepping", "flags")
    )


def _build(folder: Path) -> None:
    """Compile beside `folder` and rename, so that it is whole or not there, whoever builds at the same time."""
    compiler, onednn = _compiler(), _onednn()
    if compiler is None or onednn is None:
        raise FileNotFoundError("compiler or library vanished meanwhile")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=folder.parent) as text:
        place = Path(text) / "kernels"
        place.mkdir()
        # A copy is loaded as a library of its own, with settings of its own.
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
            if not folder.is_dir():  # otherwise another process was faster
                raise
    # MindSpore opens the library anew for each operator, so that those in use must stay; other environments may share
    # the folder.
    for other in folder.parent.glob("?" * len(folder.name)):
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            if other.stat().st_mtime < time.time() - _UNUSED_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def _run(command: list[str]) -> str:
    """What went wrong with a command; empty when nothing did.

    Raises:
        OSError: it took too long, or was ended from outside, so that another try may work.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{command[0]} took more than {_SECONDS} seconds") from error
    # A compiler's driver lives on when its parts are killed, for want of memory above all, and then says this.
    if -done.returncode in _FROM_OUTSIDE or "signal terminated program" in done.stderr:
        raise ChildProcessError(f"{command[0]} was ended: exit code {done.returncode} {done.stderr[-500:]}".rstrip())
    return "" if done.returncode == 0 else f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}"
