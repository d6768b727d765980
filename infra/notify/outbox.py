"""Notifications that wait to be told: kept on disk until every way took them, so that none is lost with a process."""

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

    def put(self, message: Message, ways: tuple[str, ...]) -> None:
        """Keep a notification until it is told in these ways."""
        name = f"{int(time.time() * 1000)}-{uuid4().hex[:8]}.json"
        write_text(self.waiting / name, json.dumps({"message": asdict(message), "ways": ways}), mode=0o600)

    def deliver(
        self,
        senders: Mapping[str, Sender],
        retry: RetryPolicy,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Tell everything that waits, oldest first; what cannot be told is kept apart, with its reasons.

        A file that cannot be worked on is kept apart as it is, and the others are told.

        Args:
            senders: by way; a way that is not set any more is passed over.
            retry: how often what may pass is tried again.
            say: hears a line of each attempt.
            sleep: waits.
        """
        for path in sorted(self.waiting.glob("*.json")):
            try:
                self._deliver(path, senders, retry, say, sleep)
            except Exception as error:  # noqa: BLE001 - it is said, and whatever it is must not keep the others
                say(f"{path.name} could not be worked on: {_reason(error)}")
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
        for way in kept["ways"]:
            if way not in senders:
                continue
            problem = _tell(senders[way], message, retry, sleep)
            if problem is not None:
                failed[way] = problem
            say(f"{message.subject}: {way} {'took it' if problem is None else f'failed: {problem}'}")
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
        """The subjects of notifications that could not be told; of a damaged one, the name of its file."""
        return [_subject(path) for path in sorted(self.undelivered.glob("*.json"))]


def _subject(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["message"]["subject"])
    except (OSError, ValueError, TypeError, KeyError):
        return f"{path.name}, which is damaged"


def _tell(sender: Sender, message: Message, retry: RetryPolicy, sleep: Callable[[float], None]) -> str | None:
    """None when the way took it, else why not."""
    try:
        call_with_retries(lambda: sender(message), retry, sleep=sleep)
    except AtlasFlowError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - it is the answer: another way may still take it
        return type(error).__name__  # its text may hold an address or a header, which are secrets
    return None


def _reason(error: Exception) -> str:
    """What an error of a file says."""
    return f"{type(error).__name__}: {error}"
