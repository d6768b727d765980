"""What a command says while it runs: lines for people, and `@atlasflow {json}` lines for programs."""

from __future__ import annotations

import json
import os
import sys
import threading

PREFIX = "@atlasflow "
_PARENT_GONE = 143


_quiet = False


def be_quiet() -> None:
    """Say nothing any more; of several processes that train together, one speaks."""
    global _quiet  # noqa: PLW0603 - standard output is global too
    _quiet = True


def say(text: str) -> None:
    """A line for people."""
    if _quiet:
        return
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def event(name: str, /, **values: object) -> None:
    """A line for programs: `epoch`, `progress` or `error`, with its values."""
    say(PREFIX + json.dumps({"event": name, **values}))


def error(kind: str, message: str, hint: str) -> None:
    """Why this process ends. A quiet one tells standard error: the one that speaks may know nothing of it."""
    if _quiet:
        sys.stderr.write(f"{message} ({hint})\n" if hint else f"{message}\n")
    else:
        event("error", kind=kind, message=message, hint=hint)


def end_with_stdin() -> None:
    """End this process when its standard input closes, so that it never outlives the one that started it."""

    def watch() -> None:
        # Not sys.stdin: its lock would be held at interpreter shutdown, which is fatal.
        while os.read(0, 4096):
            pass
        os._exit(_PARENT_GONE)

    threading.Thread(target=watch, name="parent", daemon=True).start()
