"""Watch a folder: each picture that appears is classified once, as soon as it is whole."""

import json
import os
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .classify import classify
from .failure import USER, Failure
from .files import ANSWERS, ends_with_line
from .model import Model
from .observations import Seen
from .release import Release
from .watchdog import Watchdog

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")

Mark = Tuple[int, int]  # size in bytes and time of change in ns: the same twice means that nobody writes any more


class Watcher:
    """What was seen of a folder, and what was answered already.

    Args:
        folder: to be watched.
        output: where annotated copies and `answers.jsonl` go; what that file tells is not classified again.
    """

    def __init__(self, folder: str, output: str) -> None:
        if not os.path.isdir(folder):
            raise Failure(USER, f"'{folder}' is not a folder", "make it, or name another one")
        self.folder = folder
        self.output = output
        self._seen: Dict[str, Mark] = {}
        self._done: Dict[str, Mark] = {}
        os.makedirs(output, exist_ok=True)
        self._answers = os.path.join(output, ANSWERS)
        for answer in read_answers(self._answers):
            self._done[answer["picture"]] = (answer["size"], answer["changed"])

    def ready(self) -> List[str]:
        """Pictures that are new and were the same at the last look."""
        found = []
        seen: Dict[str, Mark] = {}
        for entry in sorted(os.scandir(self.folder), key=lambda item: item.name):
            if entry.name.startswith(".") or not entry.name.lower().endswith(SUFFIXES) or not entry.is_file():
                continue
            status = entry.stat()
            mark = (status.st_size, status.st_mtime_ns)
            if self._done.get(entry.path) != mark:
                seen[entry.path] = mark
                if self._seen.get(entry.path) == mark:
                    found.append(entry.path)
        self._seen = seen
        return found

    def record(self, answer: Dict[str, Any], release: str) -> Dict[str, Any]:
        """Note an answer; returns what was noted."""
        size, changed = self._done[answer["picture"]] = self._seen.pop(answer["picture"])
        noted = dict(answer, size=size, changed=changed, release=release, time=time.time())
        with open(self._answers, "ab+") as file:
            torn = file.tell() > 0 and not ends_with_line(file)
            file.write((b"\n" if torn else b"") + json.dumps(noted).encode() + b"\n")
        return noted


def watch(
    model: Model,
    release: Release,
    watchdog: Watchdog,
    watcher: Watcher,
    seen: Seen,
    interval: float,
    looks: Optional[int] = None,
) -> Iterator[Dict[str, Any]]:
    """Answer for pictures as they appear.

    Args:
        model: the loaded model.
        release: the release it belongs to.
        watchdog: hears of each image that was answered.
        watcher: the folder.
        seen: counts what was seen; it is written at the end, whatever ends it.
        interval: seconds between two looks at it.
        looks: stop after so many; None goes on for ever.
    """
    number = 0
    try:
        while looks is None or number < looks:
            if number:
                time.sleep(interval)
            number += 1
            ready = watcher.ready()
            for answer in classify(model, release, watchdog, ready, watcher.output):
                seen.add(answer)
                yield watcher.record(answer, release.id)
            seen.flush_when_due()
    finally:
        seen.flush()


def read_answers(path: str) -> Iterator[Dict[str, Any]]:
    """The answers of earlier runs; a line that a power cut tore is left out."""
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        for line in file:
            try:
                yield json.loads(line.decode())
            except ValueError:
                continue
