"""Inputs and outputs at `obs://` addresses, as old ModelArts jobs pass them, copied with MoXing.

New jobs pass local folders, which the platform copies itself; this module then does nothing.

Source: docs/reference/modelarts.md §1.6, §1.7.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .failures import InputError
from .protocol import log

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_SCHEMES = ("obs://", "s3://")
_INPUTS = ("data_url", "resume_url", "pretrain_url", "corrupted_url", "checkpoint")
_OUTPUTS = ("train_url", "output")
_SCRATCH = Path("/cache")  # the fast disk of a ModelArts container


def path_or_address(text: str) -> Path | str:
    """Parse an argument: a path, or an address, which stays text."""
    return text if text.startswith(_SCHEMES) else Path(text)


@contextmanager
def with_local_folders(options: argparse.Namespace, *, first: bool) -> Iterator[None]:
    """Replace addresses in the options by local folders, and upload the results at the end, also after a failure.

    Of several processes that train together on one machine, one copies an input and the others wait.

    Args:
        options: options of the command, changed in place.
        first: True for the process that writes the results.

    Raises:
        InputError: MoXing is not installed, or an input does not exist.
    """
    addresses = {
        name: address
        for name in (*_INPUTS, *_OUTPUTS)
        if isinstance(address := getattr(options, name, None), str) and address.startswith(_SCHEMES)
    }
    if not addresses:
        yield
        return
    mox = _moxing(addresses)
    with _scratch(addresses) as scratch:
        for name, address in addresses.items():
            target = scratch / name
            if name in _INPUTS:
                target = _fetch_input(mox, name, address, target)
            elif first:
                _restore_output(mox, address, target)
            setattr(options, name, target)
        try:
            yield
        finally:
            for name in _OUTPUTS if first else ():
                if name in addresses:
                    mox.file.copy_parallel(str(scratch / name), addresses[name])
                    log(f"uploaded the results to {addresses[name]}")


@contextmanager
def _scratch(addresses: dict[str, str]) -> Iterator[Path]:
    """Yield a folder of this job. Processes that train together share it: they have the same parent."""
    base = _SCRATCH if _SCRATCH.is_dir() else Path(tempfile.gettempdir())
    if int(os.environ.get("RANK_SIZE", "1")) > 1:
        job = hashlib.sha256(repr(sorted(addresses.items())).encode()).hexdigest()[:16]
        yield base / f"atlasflow-{os.getppid()}-{job}"  # stays: no process knows whether it is the last
        return
    with tempfile.TemporaryDirectory(prefix="atlasflow-", dir=base) as folder:
        yield Path(folder)


def _moxing(addresses: dict[str, str]) -> Any:
    try:
        return importlib.import_module("moxing")
    except ImportError as error:
        name, address = next(iter(addresses.items()))
        raise InputError(
            f"--{name}: {address} needs MoXing, which is not installed",
            "pass folders, as new ModelArts jobs do",
        ) from error


def _fetch_input(mox: Any, name: str, address: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    done = target.with_suffix(".done")
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_folder = mox.file.is_directory(address)
        if not is_folder and not mox.file.exists(address):
            raise InputError(f"--{name}: {address} does not exist")
        local = target if is_folder else target / address.rpartition("/")[2]
        if not done.exists():
            if is_folder:
                mox.file.copy_parallel(address, str(local))
            else:
                local.parent.mkdir(exist_ok=True)
                mox.file.copy(address, str(local))
            done.touch()
    return local


def _restore_output(mox: Any, address: str, target: Path) -> None:
    """Fetch the results of an interrupted job, so that it is resumed."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if mox.file.is_directory(address):
        mox.file.copy_parallel(address, str(target))
