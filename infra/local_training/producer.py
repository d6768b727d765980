"""What makes the bytes of a local training, for keys."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from infra.errors import UserError
from infra.ports.values import Producer

NAME = "mindspore-cpu"
"""The producer's name in receipts."""


def processor() -> dict[str, str]:
    """Return what of this machine changes a training's bytes: sums are split over the cores, so 1 and 2 differ."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"architecture": platform.machine(), "cores": str(cores)}


def local_producer() -> Producer:
    """MindSpore on this kind of CPU; its version is read without importing it.

    Raises:
        UserError: MindSpore is not installed.
    """
    try:
        version = importlib.metadata.version("mindspore")
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError("MindSpore is not installed", hint="run `make setup`") from error
    return Producer(NAME, version, emulated=False, details=processor())
