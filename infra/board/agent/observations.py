"""Counts of the images that a board answers while it watches a folder, for a check of drift.

They are one file of a few kilobytes: the counts of the last days with images, by the board's clock. A new release
starts a new file, since its answers differ from its predecessor's.
"""

import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence

from .counts import QUANTITIES, add, count, none
from .files import write

FILE = "seen.json"
DAYS = 7
SECONDS = 5.0  # between two writes: a memory card wears out; a kill loses the counts since the last one
_SCHEMA = 1


class Recorder:
    """Counts answers in the file at `path`.

    Several programs may watch for one release; each adds its counts. A program of a replaced release adds none.

    Args:
        path: of the file.
        release: the release that answers.
        classes: number of its classes.
    """

    def __init__(self, path: str, release: str, classes: int) -> None:
        self.path = path
        self._release = release
        self._classes = classes
        self._written = time.monotonic()
        self._fresh = self._nothing()
        with self._locked():
            known = read(path)
            if known is None or known["release"] != release or len(known["days"][-1]["class"]) != classes:
                self._write([self._nothing()])

    def add(self, number: int, confidence: float, colour: Sequence[float]) -> None:
        """Count an answer; see `counts.count`."""
        self._fresh["images"] += 1
        count(self._fresh, number, confidence, colour)
        self._fresh["until"] = time.time()

    def skip(self) -> None:
        """Count an unreadable image."""
        self._fresh["skipped"] += 1
        self._fresh["until"] = time.time()

    def flush_when_due(self) -> None:
        """Write new counts, at most every `SECONDS`."""
        if time.monotonic() - self._written >= SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write new counts."""
        if not self._fresh["images"] and not self._fresh["skipped"]:
            return
        with self._locked():
            known = read(self.path)
            if known is None:
                self._write([self._fresh])
            elif known["release"] == self._release:
                self._write(_merged(known["days"], self._fresh))
        self._fresh = self._nothing()
        self._written = time.monotonic()

    def _nothing(self) -> Dict[str, Any]:
        now = time.time()
        day = time.strftime("%Y-%m-%d", time.gmtime(now))
        return dict(none(self._classes), day=day, since=now, until=now, images=0, skipped=0)

    def _write(self, days: List[Dict[str, Any]]) -> None:
        write(self.path, json.dumps({"schema": _SCHEMA, "release": self._release, "days": days}, sort_keys=True))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder, name = os.path.split(self.path)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "." + name + ".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def path_for(release_folder: str, output: str) -> str:
    """Path of the file: in the board's folder for an installed release, else in the folder `output`."""
    place = os.path.dirname(release_folder)
    return os.path.join(os.path.dirname(place) if os.path.basename(place) == "releases" else output, FILE)


def read(path: str) -> Optional[Dict[str, Any]]:
    """Read the file; None when it is missing or damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        whole = found["schema"] == _SCHEMA and isinstance(found["release"], str) and found["days"]
        return found if whole and all(name in day for day in found["days"] for name in QUANTITIES) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _merged(days: List[Dict[str, Any]], fresh: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The days with the fresh counts, at most `DAYS`."""
    last = days[-1]
    if last["day"] != fresh["day"] and last["images"] + last["skipped"] > 0:
        return (days + [fresh])[-DAYS:]  # noqa: RUF005
    if last["images"] + last["skipped"] == 0:
        return days[:-1] + [fresh]  # noqa: RUF005
    add(last, fresh)
    last["images"] += fresh["images"]
    last["skipped"] += fresh["skipped"]
    last["until"] = fresh["until"]
    return days
