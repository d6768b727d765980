"""Watch a folder: classify each new picture once, as soon as it is complete."""

import json
import os
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .card import Card
from .classify import Answer, classify
from .failure import USER, Failure
from .files import ANSWERS, ends_with_line
from .observations import Recorder
from .release import Release
from .screen import SUFFIXES
from .unsure import Keeper
from .watchdog import Watchdog

Mark = Tuple[int, int]  # size in bytes and time of change in ns: unchanged between two looks, the file is complete


class Watcher:
    """The pictures of a folder, and the answers so far.

    Args:
        folder: to watch.
        output: for annotated copies and `answers.jsonl`; pictures in that file are not classified again.
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
        """New pictures that did not change since the last look."""
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

    def record(self, answer: Answer, release: str) -> Dict[str, Any]:
        """Append an answer to `answers.jsonl`; returns its JSON form."""
        size, changed = self._done[answer.picture] = self._seen.pop(answer.picture)
        line = dict(answer.to_json(), size=size, changed=changed, release=release, time=time.time())
        with open(self._answers, "ab+") as file:
            torn = file.tell() > 0 and not ends_with_line(file)
            file.write((b"\n" if torn else b"") + json.dumps(line).encode() + b"\n")
        return line


def watch(
    card: Card,
    release: Release,
    watchdog: Watchdog,
    watcher: Watcher,
    recorder: Recorder,
    keeper: Keeper,
    interval: float,
    looks: Optional[int] = None,
) -> Iterator[Tuple[Answer, Dict[str, Any]]]:
    """Answer pictures as they appear; yields each answer and its line of `answers.jsonl`.

    Args:
        card: with the loaded model.
        release: of the model.
        watchdog: notified of each answer.
        watcher: of the folder.
        recorder: counts the answers; its file is written at the end, on errors too.
        keeper: keeps the pictures of which the model is least sure.
        interval: seconds between two looks at the folder.
        looks: number of looks; None for no end.
    """
    number = 0
    try:
        while looks is None or number < looks:
            if number:
                time.sleep(interval)
            number += 1
            ready = watcher.ready()
            for answer in classify(card, release, watchdog, ready, watcher.output):
                if answer.error:
                    recorder.skip()
                else:
                    recorder.add(answer.numbers[0], answer.top[0][1], answer.colour)
                    keeper.offer(answer.picture, answer.top)
                yield answer, watcher.record(answer, release.id)
            recorder.flush_when_due()
    finally:
        recorder.flush()


def read_answers(path: str) -> Iterator[Dict[str, Any]]:
    """Read the answers of earlier runs; a line that a power cut left incomplete is ignored."""
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        for line in file:
            try:
                yield json.loads(line.decode())
            except ValueError:
                continue
