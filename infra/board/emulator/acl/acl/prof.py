"""`acl.prof`: records what models run between start and stop, in a file (docs/reference/pyacl.md §4.4).

The chip's counters and the profiler's binary files are not emulated. `finalize` leaves
`PROF_<process>/record.json` in the folder of `init`: a list of executions with model, start and duration in
nanoseconds, and of stamps.
"""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import _codes
from ._execution import EXECUTED
from ._shapes import AclError, code
from ._world import WORLD


@dataclass
class Config:
    """What to record: the devices."""

    devices: list[int]


@dataclass
class Stamp:
    """A mark of the program."""

    message: str = ""


@dataclass
class Record:
    """What was recorded so far; `active` are the configurations that were started."""

    folder: Path
    active: list[int] = field(default_factory=list)
    executions: list[dict[str, int]] = field(default_factory=list)
    stamps: list[dict[str, int | str]] = field(default_factory=list)
    open_stamps: list[tuple[str, int]] = field(default_factory=list)

    def executed(self, model: int, start: int, duration: int) -> None:
        """Note an execution."""
        if self.active:
            self.executions.append({"model_id": model, "start_ns": start, "duration_ns": duration})


_records: list[Record] = []


@code
def init(profiler_result_path: str) -> None:
    """Begin a record that is written below a folder, which must exist."""
    if _records:
        raise AclError(_codes.PROF_ALREADY_RUN, "acl.prof.init was called before")
    folder = Path(profiler_result_path)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise AclError(_codes.INVALID_FILE, f"{folder} is no folder that can be written to")
    _records.append(Record(folder))
    EXECUTED.append(_records[0].executed)


@code
def finalize() -> None:
    """Write the record."""
    record = _record()
    _records.clear()
    EXECUTED.clear()
    folder = record.folder / f"PROF_{os.getpid()}"
    folder.mkdir(exist_ok=True)
    (folder / "record.json").write_text(json.dumps({"executions": record.executions, "stamps": record.stamps}))


def create_config(device_ids: list[int], aicore_metrics: int, aicore_events: int, data_type_config: int) -> int:  # noqa: ARG001
    """What to record; the metrics of the chip are not emulated."""
    if not isinstance(device_ids, list):
        raise TypeError("argument 1 is not list")
    if not all(isinstance(device, int) for device in device_ids):
        raise TypeError("the first argument is not list of int")
    return WORLD.add(Config(device_ids)) if device_ids else 0


@code
def destroy_config(profiler_config: int) -> None:
    """Destroy it."""
    WORLD.remove(profiler_config, Config, _codes.INVALID_PARAM)


@code
def start(profiler_config: int) -> None:
    """Record from now on."""
    WORLD.get(profiler_config, Config, _codes.INVALID_PARAM)
    record = _record()
    if profiler_config in record.active:
        raise AclError(_codes.PROF_ALREADY_RUN, "this configuration was started before")
    record.active.append(profiler_config)


@code
def stop(profiler_config: int) -> None:
    """Record no more."""
    record = _record()
    if profiler_config not in record.active:
        raise AclError(_codes.PROF_NOT_RUN, "this configuration was not started")
    record.active.remove(profiler_config)


def create_stamp() -> int:
    """A mark."""
    return WORLD.add(Stamp())


def destroy_stamp(stamp: int) -> None:
    """Destroy it; returns nothing."""
    WORLD.handles.pop(stamp, None)


@code
def set_stamp_trace_message(stamp: int, msg: str, msg_len: int) -> None:
    """What a mark says; at most 127 bytes."""
    if msg_len > 127:
        raise AclError(_codes.INVALID_PARAM, f"{msg_len} bytes are too many for a mark")
    WORLD.get(stamp, Stamp, _codes.INVALID_PARAM).message = msg


@code
def mark(stamp: int) -> None:
    """Record a mark with the time."""
    message = WORLD.get(stamp, Stamp, _codes.INVALID_PARAM).message
    _record().stamps.append({"message": message, "start_ns": time.monotonic_ns(), "duration_ns": 0})


@code
def push(stamp: int) -> None:
    """Begin a time span."""
    message = WORLD.get(stamp, Stamp, _codes.INVALID_PARAM).message
    _record().open_stamps.append((message, time.monotonic_ns()))


@code
def pop() -> None:
    """End the latest time span."""
    record = _record()
    if not record.open_stamps:
        raise AclError(_codes.INVALID_PARAM, "no time span is open")
    message, begin = record.open_stamps.pop()
    record.stamps.append({"message": message, "start_ns": begin, "duration_ns": time.monotonic_ns() - begin})


def _record() -> Record:
    if not _records:
        raise AclError(_codes.PROF_NOT_RUN, "acl.prof.init was not called")
    return _records[0]
