"""Classify images with a checkpoint: `models/main.py answer` in its own process, which keeps the model loaded."""

import base64
import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TypeVar

from infra.errors import Transient
from infra.local_training import protocol
from infra.local_training.protocol import Answer, ProgramError, ProgramEvent, Ready
from infra.local_training.trainer import MAIN, network_environment
from infra.ports.training import LogLine

START_SECONDS = 300.0
ANSWER_SECONDS = 60.0
_END_SECONDS = 10.0

_Expected = TypeVar("_Expected", Ready, Answer)


class AnswerProcess:
    """Starts the program at the first question, or at `start`; it ends with `close`, or with this process.

    Args:
        arguments: option names of `models/main.py answer` without dashes to values.
        main: the program.
        start_seconds: time limit for loading the checkpoint.
        answer_seconds: time limit for one answer.
        network: the file of a network of one's own.
    """

    def __init__(
        self,
        arguments: Mapping[str, str],
        *,
        main: Path = MAIN,
        start_seconds: float = START_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        network: Path | None = None,
    ) -> None:
        options = [f"--{name}={value}" for name, value in arguments.items()]
        self._environment = network_environment(network)
        self._command = [sys.executable, str(main), "answer", *options]
        self._start_seconds = start_seconds
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ready = False
        self._events: queue.Queue[ProgramEvent | None] = queue.Queue()  # None: the program has exited
        self._tail: deque[str] = deque(maxlen=40)

    def start(self) -> None:
        """Start the program unless it runs; return before it is ready."""
        with self._lock:
            self._start()

    def ask(self, pixels: bytes) -> tuple[list[float], float]:
        """Return the logits of an image, and the milliseconds of the inference.

        Args:
            pixels: uint8 [image_size, image_size, 3], RGB.

        Raises:
            UserError, Refused, Corrupt: the program reports it.
            Transient: it was killed or takes too long; the next question starts it anew.
        """
        with self._lock:
            try:
                process = self._start()
                if not self._ready:
                    self._next(process, Ready, self._start_seconds)
                    self._ready = True
                with contextlib.suppress(BrokenPipeError):  # it has exited; its output tells why
                    stdin = _pipe(process.stdin)
                    stdin.write(base64.b64encode(pixels).decode() + "\n")
                    stdin.flush()
                answer = self._next(process, Answer, self._answer_seconds)
            except BaseException:
                self._end(kill=True)
                raise
            return list(answer.logits), answer.milliseconds

    def close(self) -> None:
        """End the program."""
        with self._lock:
            self._end()

    def _start(self) -> "subprocess.Popen[str]":
        if self._process is not None:
            return self._process
        self._ready = False
        self._events = queue.Queue()
        self._tail.clear()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment},
            start_new_session=True,  # Ctrl-C is handled by this process
        )
        threading.Thread(target=self._read, args=(self._process, self._events), daemon=True).start()
        return self._process

    def _read(self, process: "subprocess.Popen[str]", events: "queue.Queue[ProgramEvent | None]") -> None:
        with _pipe(process.stdout) as lines:
            for raw in lines:
                event = protocol.parse(raw.rstrip("\n"))
                if isinstance(event, LogLine):
                    self._tail.append(event.text)
                else:
                    events.put(event)
        events.put(None)

    def _next(self, process: "subprocess.Popen[str]", expected: type[_Expected], seconds: float) -> _Expected:
        """Wait for the next event, which must be an `expected` one.

        Raises:
            AtlasFlowError: the program reports an error, or has exited.
        """
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            raise Transient(f"the checkpoint did not answer within {seconds:.0f} s", hint="ask again") from None
        if isinstance(event, expected):
            return event
        code = process.wait(_END_SECONDS)
        error = event if isinstance(event, ProgramError) else None
        raise protocol.failure("models/main.py answer", code, error, list(self._tail))

    def _end(self, *, kill: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pipe(stream: "IO[str] | None") -> "IO[str]":
    assert stream is not None  # noqa: S101 - for the type checker: Popen was given PIPE
    return stream
