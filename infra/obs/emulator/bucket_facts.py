"""What the server behind does not keep of a bucket, in one JSON file."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.store.atomic import write_text


@dataclass(frozen=True)
class Facts:
    """What is known of one bucket.

    Attributes:
        storage_class: the default, by OBS's name.
        quota: in bytes; 0: none.
        policy: its JSON.
        restored: keys of archived objects that can be read.
        zones: value of the header for several availability zones; empty: one.
        direct_read: archived objects can be read without restoring them.
    """

    storage_class: str = "STANDARD"
    quota: int = 0
    policy: str = ""
    restored: tuple[str, ...] = ()
    zones: str = ""
    direct_read: bool = False


class FactsFile:
    """The file.

    Args:
        path: of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def of(self, bucket: str) -> Facts:
        """Return what is known of a bucket."""
        values = self._read().get(bucket)
        return Facts(**{**values, "restored": tuple(values["restored"])}) if values else Facts()

    def change(self, bucket: str, change: Callable[[Facts], Facts]) -> None:
        """Replace what is known of a bucket."""
        with self._lock:
            self._write({**self._read(), bucket: asdict(change(self.of(bucket)))})

    def forget(self, bucket: str) -> None:
        """Forget a bucket that was deleted."""
        with self._lock:
            self._write({name: values for name, values in self._read().items() if name != bucket})

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(self._path.read_text(encoding="utf-8"))) if self._path.exists() else {}

    def _write(self, values: dict[str, Any]) -> None:
        write_text(self._path, json.dumps(values, indent=1))
