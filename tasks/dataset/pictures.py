"""Decode pictures, in a process for each core, and keep what earlier data sets have decoded already."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, Queue, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from infra.errors import Refused
from infra.home import python_path
from tasks.dataset.values import Look, Problem, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from models.preprocess import Contract
    from tasks.dataset.reuse import Reuse
    from tasks.dataset.values import Entry

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_PER_WORKER = 24  # pictures that are worth the start of a process, 0.3 s


@dataclass(frozen=True)
class Decoded:
    """The pictures of a source.

    Attributes:
        entries: those that can be used, in the source's order.
        looks: of them.
        skipped: the others.
        image: image of an entry by its place, uint8 [size, size, 3].
        problems: by the SHA-256 of the file, for files that exist.
        decoded: number of files that were decoded now, not found in an earlier data set.
    """

    entries: Sequence[Entry]
    looks: Sequence[Look]
    skipped: Sequence[Skipped]
    image: Callable[[int], Pixels]
    problems: Mapping[str, Skipped]
    decoded: int


class Spool:
    """Images of one size in a file, which goes when the block ends."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._size = size
        self._row = size * size * 3
        self._rows: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink()

    def add(self, digest: str, content: bytes) -> None:
        """Add the image of a file with this SHA-256."""
        row = self._rows[digest] = len(self._rows)
        os.pwrite(self._file.fileno(), content, row * self._row)

    def image(self, digest: str) -> Pixels:
        """Return the image of a file."""
        content = os.pread(self._file.fileno(), self._row, self._rows[digest] * self._row)
        return np.frombuffer(content, np.uint8).reshape(self._size, self._size, 3)


def decode(
    entries: Sequence[Entry], contract: Contract, images: Spool, reuse: Reuse, progress: Callable[[int, int], None]
) -> Decoded:
    """Decode each different file once.

    Args:
        entries: the pictures.
        contract: how; the normalisation has no effect.
        images: gets the images, and stays open while they are used.
        reuse: the images of earlier data sets.
        progress: receives files done and in all.
    """
    files = {entry.sha256: entry.path for entry in entries if entry.path is not None}
    known: dict[str, Look | Skipped] = {}
    for digest in files:
        found = reuse.find(digest)
        if found is not None:
            known[digest], image = found
            if image is not None:
                images.add(digest, image.tobytes())
    left = {digest: path for digest, path in files.items() if digest not in known}
    progress(len(known), len(files))
    for digest, outcome, content in _decode_all(left, contract):
        if content is not None:
            images.add(digest, content)
        known[digest] = outcome
        if len(known) % 32 == 0:
            progress(len(known), len(files))
    used, looks, skipped = [], [], []
    for entry in entries:
        outcome = known[entry.sha256] if entry.path is not None else Skipped(entry.name, Problem.MISSING)
        if isinstance(outcome, Look):
            used.append(entry)
            looks.append(outcome)
        else:
            skipped.append(Skipped(entry.name, outcome.problem, outcome.detail))
    problems = {digest: outcome for digest, outcome in known.items() if isinstance(outcome, Skipped)}
    return Decoded(used, looks, skipped, lambda place: images.image(used[place].sha256), problems, len(left))


def _decode_all(files: Mapping[str, Path], contract: Contract) -> Iterator[tuple[str, Look | Skipped, bytes | None]]:
    """Yield digest, result and image of each file, in no particular order."""
    todo: SimpleQueue[tuple[str, Path]] = SimpleQueue()
    for item in files.items():
        todo.put(item)
    answers: Queue[tuple[str, Look | Skipped, bytes | None]] = Queue(maxsize=64)
    stop = Event()

    def work() -> None:
        with _Worker(contract) as worker:
            while not stop.is_set():
                try:
                    digest, path = todo.get_nowait()
                except Empty:
                    return
                answers.put((digest, *worker.ask(path)))

    count = max(1, min(len(os.sched_getaffinity(0)), len(files) // _PER_WORKER))
    with ThreadPoolExecutor(count) as pool:
        threads = [pool.submit(work) for _ in range(count)]
        try:
            for _ in files:
                yield _next(answers, threads)
        finally:
            stop.set()
            while not all(thread.done() for thread in threads):  # one may wait for room
                with contextlib.suppress(Empty):
                    answers.get(timeout=0.05)


def _next(
    answers: Queue[tuple[str, Look | Skipped, bytes | None]], threads: Sequence[Future[None]]
) -> tuple[str, Look | Skipped, bytes | None]:
    while True:
        try:
            return answers.get(timeout=1)
        except Empty:
            for thread in threads:
                if thread.done():
                    thread.result()  # raises what ended it


class _Worker:
    """A process that decodes (`tasks/dataset/worker.py`); started again when a picture ends it."""

    def __init__(self, contract: Contract) -> None:
        self._bytes = contract.size * contract.size * 3
        said = json.dumps(contract.to_json())
        self._command = [sys.executable, "-m", "tasks.dataset.worker", said]
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, path: Path) -> tuple[Look | Skipped, bytes | None]:
        """Decode a file."""
        source, target = self._process.stdin, self._process.stdout
        if source is None or target is None:
            raise RuntimeError("the program has no pipes")
        try:
            source.write(json.dumps(os.fspath(path)).encode() + b"\n")
            source.flush()
            said = json.loads(target.readline())
        except (BrokenPipeError, ValueError):
            self._end()
            if self._process.returncode == 1:  # a fault of the program itself, not of a picture
                raise Refused("the program that decodes pictures fails", hint="see its message above") from None
            self._process = self._start()
            return Skipped("", Problem.BROKEN, "decoding it ended the program"), None
        if "problem" in said:
            return Skipped("", Problem(said["problem"]), said.get("detail", "")), None
        look = Look(said["width"], said["height"], said["fingerprint"], bytes.fromhex(said["thumbnail"]))
        return look, target.read(self._bytes)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": python_path()}
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )

    def _end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
