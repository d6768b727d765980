"""What this installation has asked ModelArts for: one small file a stage key, written before the job is submitted."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.errors import Corrupt
from infra.store.atomic import write_text
from infra.store.locks import hold, is_held, remove_unheld


@dataclass(frozen=True)
class Intent:
    """A job that we wanted.

    Attributes:
        key: the stage key.
        name: the job's name.
        id: the platform's id of it; empty until its answer came, so a crash in between shows.
        settled: True once its end, good or bad, has been told, or it was stopped by ourselves.
    """

    key: str
    name: str
    id: str = ""
    settled: bool = False


class Ledger:
    """All intents, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str) -> Intent | None:
        """The last intent for a stage key.

        Raises:
            Corrupt: its file is damaged.
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return Intent(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise Corrupt(f"{path} is damaged", hint="remove it; a job that still runs is found by its name") from error

    def write(self, intent: Intent) -> None:
        """Keep an intent, for good."""
        write_text(self._path(intent.key), json.dumps(asdict(intent), indent=1))

    def all(self) -> Iterator[Intent]:
        """Every intent."""
        for path in sorted(self.folder.glob("*.json")):
            intent = self.read(path.stem)
            if intent is not None:
                yield intent

    @contextmanager
    def watching(self, key: str) -> Iterator[None]:
        """Hold the lock that says that somebody here waits for the job of a key; it dies with the process."""
        path = self._lock(key)
        try:
            with hold(path):
                yield
        finally:
            remove_unheld([path])

    def watched(self, key: str) -> bool:
        """True while a process of this machine waits for the job of a key."""
        return is_held(self._lock(key))

    def installation(self) -> str:
        """Names this installation among those that use the same project: 16 hexadecimal digits, made once."""
        path = self.folder / "installation"
        if not path.exists():
            with hold(self.folder / "installation.lock"):
                if not path.exists():
                    write_text(path, secrets.token_hex(8))
        return path.read_text(encoding="utf-8")

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _lock(self, key: str) -> Path:
        return self.folder / f"{key}.lock"
