"""A small summary of what the board sees, kept while it watches: for whoever asks whether the world has changed.

One file of a few kilobytes, whatever is seen: the counts of the last days on which there was something to see, by the
board's clock. A new release begins a new one, since its answers are not its predecessor's.
"""

import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional

from .counts import QUANTITIES, add, count, none
from .files import write

FILE = "seen.json"
DAYS = 7
SECONDS = 5.0  # between two writings: a memory card has only so many; a kill loses what came since
_SCHEMA = 1


class Seen:
    """Counts answers for the summary at `path`.

    Several programs may watch for one release; each adds its own. One that still runs a release that was replaced
    adds nothing any more.

    Args:
        path: of the file.
        release: whose answers these are.
        classes: how many there are.
    """

    def __init__(self, path: str, release: str, classes: int) -> None:
        self.path = path
        self._release = release
        self._classes = classes
        self._written = time.monotonic()
        self._fresh = self._nothing()
        with self._locked():
            said = read(path)
            if said is None or said["release"] != release or len(said["days"][-1]["class"]) != classes:
                self._write([self._nothing()])

    def add(self, answer: Dict[str, Any]) -> None:
        """Count an answer of `classify`."""
        if "error" in answer:
            self._fresh["skipped"] += 1
        else:
            self._fresh["images"] += 1
            count(self._fresh, answer["numbers"][0], answer["top"][0][1], answer["colour"])
        self._fresh["until"] = time.time()

    def flush_when_due(self) -> None:
        """Write what was counted, unless the last time was just now."""
        if time.monotonic() - self._written >= SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was counted since the last time."""
        if not self._fresh["images"] and not self._fresh["skipped"]:
            return
        with self._locked():
            said = read(self.path)
            if said is None:
                self._write([self._fresh])
            elif said["release"] == self._release:
                self._write(_merged(said["days"], self._fresh))
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


def read(path: str) -> Optional[Dict[str, Any]]:
    """What the file says; None when there is none, or it is not one of ours."""
    try:
        with open(path, encoding="utf-8") as file:
            said = json.load(file)
        whole = said["schema"] == _SCHEMA and isinstance(said["release"], str) and said["days"]
        return said if whole and all(name in day for day in said["days"] for name in QUANTITIES) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _merged(days: List[Dict[str, Any]], fresh: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The days with what is fresh; a board whose clock jumps has more of them in the same time, never more at all."""
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
