"""The jobs that this installation has requested: one small file for each stage key, written before submission."""

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
    """A requested job.

    Attributes:
        key: the stage key.
        name: the job's name.
        id: the platform's id; empty until its response came, so that a crash in between shows.
        settled: True once the job's end was reported to the caller, or the job was stopped by this installation.
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
        """Read the last intent for a stage key.

        Raises:
            Corrupt: its file is damaged.
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return Intent(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            raise Corrupt(f"{path} is damaged", hint="remove it; a running job is found by its name") from error

    def write(self, intent: Intent) -> None:
        """Write an intent durably."""
        write_text(self._path(intent.key), json.dumps(asdict(intent), indent=1))

    def all(self) -> Iterator[Intent]:
        """Yield every intent."""
        for path in sorted(self.folder.glob("*.json")):
            intent = self.read(path.stem)
            if intent is not None:
                yield intent

    @contextmanager
    def watch(self, key: str) -> Iterator[None]:
        """Hold the lock that marks the job of a key as watched; the lock dies with the process."""
        path = self._lock(key)
        try:
            with hold(path):
                yield
        finally:
            remove_unheld([path])

    def is_watched(self, key: str) -> bool:
        """Return True while a process of this machine watches the job of a key."""
        return is_held(self._lock(key))

    def installation(self) -> str:
        """Return the id of this installation among those of the same project: 16 hexadecimal digits, created once."""
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
