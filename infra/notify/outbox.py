"""Notifications waiting for delivery: on disk until every channel took them, so that none is lost with a process."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

from infra.errors import AtlasFlowError
from infra.notify.message import Message
from infra.retry import RetryPolicy
from infra.retry import retry as call_with_retries
from infra.store.atomic import write_text

Sender = Callable[[Message], None]


class Outbox:
    """The notifications of a home: `notify/waiting` and, when every attempt failed, `notify/undelivered`."""

    def __init__(self, home: Path) -> None:
        self.waiting = home / "notify" / "waiting"
        self.undelivered = home / "notify" / "undelivered"

    def put(self, message: Message, channels: tuple[str, ...]) -> None:
        """Keep a notification until these channels took it."""
        name = f"{int(time.time() * 1000)}-{uuid4().hex[:8]}.json"
        write_text(self.waiting / name, json.dumps({"message": asdict(message), "ways": channels}), mode=0o600)

    def deliver(
        self,
        senders: Mapping[str, Sender],
        retry: RetryPolicy,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Deliver everything that waits, oldest first; move the undeliverable to `undelivered`, with reasons.

        A file that cannot be read is moved there as it is, and the others are delivered.

        Args:
            senders: by channel; a channel that is not set any more is skipped.
            retry: how often a transient failure is tried again.
            say: called with a line for each attempt.
            sleep: waits.
        """
        for path in sorted(self.waiting.glob("*.json")):
            try:
                self._deliver(path, senders, retry, say, sleep)
            except Exception as error:  # noqa: BLE001 - logged; it must not stop the other deliveries
                say(f"{path.name} cannot be processed: {_reason(error)}")
                self._set_aside(path, say)

    def _deliver(
        self,
        path: Path,
        senders: Mapping[str, Sender],
        retry: RetryPolicy,
        say: Callable[[str], None],
        sleep: Callable[[float], None],
    ) -> None:
        kept = json.loads(path.read_text(encoding="utf-8"))
        message = Message(**kept["message"])
        failed: dict[str, str] = {}
        for channel in kept["ways"]:
            if channel not in senders:
                continue
            problem = _send(senders[channel], message, retry, sleep)
            if problem is not None:
                failed[channel] = problem
            say(f"{message.subject}: {channel} {'took it' if problem is None else f'failed: {problem}'}")
        if failed:
            kept |= {"ways": list(failed), "problems": failed}
            write_text(self.undelivered / path.name, json.dumps(kept), mode=0o600)
        path.unlink()

    def _set_aside(self, path: Path, say: Callable[[str], None]) -> None:
        try:
            self.undelivered.mkdir(parents=True, exist_ok=True)
            path.replace(self.undelivered / path.name)
        except OSError as error:
            say(f"{path.name} stays where it is: {_reason(error)}")

    def lost(self) -> list[str]:
        """The subjects of notifications that could not be delivered; of a damaged one, the name of its file."""
        return [_subject(path) for path in sorted(self.undelivered.glob("*.json"))]


def _subject(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["message"]["subject"])
    except (OSError, ValueError, TypeError, KeyError):
        return f"{path.name}, which is damaged"


def _send(sender: Sender, message: Message, retry: RetryPolicy, sleep: Callable[[float], None]) -> str | None:
    """None when the channel took it, else why not."""
    try:
        call_with_retries(lambda: sender(message), retry, sleep=sleep)
    except AtlasFlowError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - recorded; another channel may still take it
        return type(error).__name__  # its text may contain a URL or a header, which are secrets
    return None


def _reason(error: Exception) -> str:
    """An error of a file, with its type."""
    return f"{type(error).__name__}: {error}"
