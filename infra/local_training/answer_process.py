"""A checkpoint that answers images: `models/main.py answer` in a process of its own, which stays loaded."""

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

from infra.errors import Transient
from infra.local_training import protocol
from infra.local_training.trainer import MAIN

START_SECONDS = 300.0
ANSWER_SECONDS = 60.0
_END_SECONDS = 10.0


class Answering:
    """Starts the program at the first question, or at `start`; it ends with `close`, or when we die.

    Args:
        arguments: option names of `models/main.py answer` without dashes to values.
        main: the program.
        start_seconds: how long it may take to get ready.
        answer_seconds: how long an answer may take.
    """

    def __init__(
        self,
        arguments: Mapping[str, str],
        *,
        main: Path = MAIN,
        start_seconds: float = START_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        options = [f"--{name}={value}" for name, value in arguments.items()]
        self._command = [sys.executable, str(main), "answer", *options]
        self._start_seconds = start_seconds
        self._answer_seconds = answer_seconds
        self._asking = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ready = False
        self._heard: queue.Queue[Mapping[str, object] | None] = queue.Queue()
        self._tail: deque[str] = deque(maxlen=40)

    def start(self) -> None:
        """Start the program unless it runs, and do not wait for it."""
        with self._asking:
            self._start()

    def ask(self, pixels: bytes) -> tuple[list[float], float]:
        """The logits of an image, and the milliseconds that they took.

        Args:
            pixels: uint8 [image_size, image_size, 3], RGB.

        Raises:
            UserError, Refused, Corrupt: as the program says.
            Transient: it was killed or takes too long; the next question starts it anew.
        """
        with self._asking:
            try:
                process = self._start()
                if not self._ready:
                    self._next("ready", self._start_seconds)
                    self._ready = True
                assert process.stdin is not None  # noqa: S101 - for the type checker: it was asked for
                with contextlib.suppress(BrokenPipeError):  # it has ended; what it said tells why
                    process.stdin.write(base64.b64encode(pixels).decode() + "\n")
                    process.stdin.flush()
                said = self._next("answer", self._answer_seconds)
            except BaseException:
                self._end(at_once=True)
                raise
            logits = said["logits"]
            assert isinstance(logits, list)  # noqa: S101 - for the type checker: the protocol says so
            return [float(value) for value in logits], float(str(said["milliseconds"]))

    def close(self) -> None:
        """End the program."""
        with self._asking:
            self._end()

    def _start(self) -> "subprocess.Popen[str]":
        if self._process is not None:
            return self._process
        self._ready = False
        self._heard = queue.Queue()
        self._tail.clear()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C is ours to answer
        )
        threading.Thread(target=self._listen, args=(self._process, self._heard), daemon=True).start()
        return self._process

    def _listen(self, process: "subprocess.Popen[str]", heard: "queue.Queue[Mapping[str, object] | None]") -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
        with process.stdout as lines:
            for raw in lines:
                found = protocol.event(raw)
                if found is None:
                    self._tail.append(raw.rstrip("\n"))
                else:
                    heard.put(found)
        heard.put(None)

    def _next(self, event: str, seconds: float) -> Mapping[str, object]:
        """The next event, which must be of this name.

        Raises:
            AtlasFlowError: the program says that something is wrong, or has ended.
        """
        try:
            found = self._heard.get(timeout=seconds)
        except queue.Empty:
            raise Transient(f"the checkpoint did not answer within {seconds:.0f} s", hint="ask again") from None
        if found is not None and found["event"] == event:
            return found
        assert self._process is not None  # noqa: S101 - for the type checker: it was asked
        code = self._process.wait(_END_SECONDS)
        raise protocol.failure("models/main.py answer", code, found, list(self._tail))

    def _end(self, *, at_once: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if at_once:
            process.kill()
        assert process.stdin is not None  # noqa: S101 - for the type checker: it was asked for
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
