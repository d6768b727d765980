"""`obs://` addresses instead of folders, which old ModelArts jobs pass, through MoXing.

Source: docs/reference/modelarts.md §1.6, §1.7.

New jobs pass folders that the platform fills and empties; then nothing here happens.
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
from .protocol import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_SCHEMES = ("obs://", "s3://")
_INPUTS = ("data_url", "resume_url", "pretrain_url", "corrupted_url", "checkpoint")
_OUTPUTS = ("train_url", "output")
_SCRATCH = Path("/cache")  # the fast disk of a ModelArts container


def place(text: str) -> Path | str:
    """A path, or an address as it is."""
    return text if text.startswith(_SCHEMES) else Path(text)


@contextmanager
def made_local(options: argparse.Namespace, *, first: bool) -> Iterator[None]:
    """Replace addresses among the options by folders of this machine; send the results at the end, good or bad.

    Of several processes that train together on one machine, one copies an input and the others wait for it.

    Args:
        options: of the command; those that are addresses are replaced in place.
        first: True for the process that writes results.

    Raises:
        InputError: MoXing is not installed, or there is nothing at the address of an input.
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
                target = _fetched(mox, name, address, target)
            elif first:
                _take_up(mox, address, target)
            setattr(options, name, target)
        try:
            yield
        finally:
            for name in _OUTPUTS if first else ():
                if name in addresses:
                    mox.file.copy_parallel(str(scratch / name), addresses[name])
                    say(f"sent the results to {addresses[name]}")


@contextmanager
def _scratch(addresses: dict[str, str]) -> Iterator[Path]:
    """A folder for this job alone; the processes that train together share it, since they have one launcher."""
    base = _SCRATCH if _SCRATCH.is_dir() else Path(tempfile.gettempdir())
    if int(os.environ.get("RANK_SIZE", "1")) > 1:
        meant = hashlib.sha256(repr(sorted(addresses.items())).encode()).hexdigest()[:16]
        yield base / f"atlasflow-{os.getppid()}-{meant}"  # left to the container: who of them ends last is not known
        return
    with tempfile.TemporaryDirectory(prefix="atlasflow-", dir=base) as folder:
        yield Path(folder)


def _moxing(addresses: dict[str, str]) -> Any:
    try:
        return importlib.import_module("moxing")
    except ImportError as error:
        name, address = next(iter(addresses.items()))
        raise InputError(
            f"--{name}: {address} can only be read with MoXing, which is not installed here",
            "pass folders, as new ModelArts jobs do",
        ) from error


def _fetched(mox: Any, name: str, address: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    done = target.with_suffix(".done")
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_folder = mox.file.is_directory(address)
        if not is_folder and not mox.file.exists(address):
            raise InputError(f"--{name}: there is nothing at {address}")
        local = target if is_folder else target / address.rpartition("/")[2]
        if not done.exists():
            if is_folder:
                mox.file.copy_parallel(address, str(local))
            else:
                local.parent.mkdir(exist_ok=True)
                mox.file.copy(address, str(local))
            done.touch()
    return local


def _take_up(mox: Any, address: str, target: Path) -> None:
    """Fetch what an interrupted job left, so that it is gone on with."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if mox.file.is_directory(address):
        mox.file.copy_parallel(address, str(target))
