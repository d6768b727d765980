"""What this installation has asked ModelArts for: one small file a stage key, written before the job is submitted."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.errors import Corrupt
from infra.store.atomic import write_text


@dataclass(frozen=True)
class Intent:
    """A job that we wanted.

    Attributes:
        key: the stage key.
        name: the job's name.
        id: the platform's id of it; empty until its answer came, so a crash in between shows.
        settled: True once its end, good or bad, has been told.
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

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
