"""Output of a running command: plain lines for people, `@atlasflow {json}` lines for programs."""

from __future__ import annotations

import json
import os
import sys
import threading

PREFIX = "@atlasflow "
_PARENT_ENDED = 143

_muted = False


def mute() -> None:
    """Stop the output of this process. Of several processes that train together, one writes."""
    global _muted  # noqa: PLW0603 - standard output is global too
    _muted = True


def log(text: str) -> None:
    """Write a line for people."""
    if _muted:
        return
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def event(name: str, /, **values: object) -> None:
    """Write a line for programs: event `epoch`, `progress`, `error`, … with its values."""
    log(PREFIX + json.dumps({"event": name, **values}))


def error(kind: str, message: str, hint: str) -> None:
    """Report why this process ends. A muted process writes to standard error: the others may not know the error."""
    if _muted:
        sys.stderr.write(f"{message} ({hint})\n" if hint else f"{message}\n")
    else:
        event("error", kind=kind, message=message, hint=hint)


def end_with_stdin() -> None:
    """End this process when its standard input closes, so that it does not outlive its parent."""

    def watch() -> None:
        # Not sys.stdin: its lock would be held at interpreter shutdown, which is fatal.
        while os.read(0, 4096):
            pass
        os._exit(_PARENT_ENDED)

    threading.Thread(target=watch, name="parent", daemon=True).start()
