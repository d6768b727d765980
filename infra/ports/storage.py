"""The port to object storage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from infra.ports.values import Bytes, LocalFile


@dataclass(frozen=True)
class StoredObject:
    """An object in a bucket; `sha256` is our own metadata, None for an object that somebody else wrote."""

    key: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class SyncResult:
    """What a synchronisation did: keys that were sent, keys that were already right, bytes sent."""

    sent: tuple[str, ...]
    kept: tuple[str, ...]
    bytes_sent: int


class ObjectStore(Protocol):
    """One bucket of an object store. Keys are `/`-separated and never start with `/`."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        ...

    @property
    def emulated(self) -> bool:
        """True for the embedded server."""
        ...

    def ensure_bucket(self) -> bool:
        """Make the bucket when it is missing; True when it was made now."""
        ...

    def head(self, key: str) -> StoredObject | None:
        """Look at one object; None when there is none."""
        ...

    def list(self, prefix: str) -> Iterable[tuple[str, int]]:
        """Keys under a prefix, with their sizes in bytes."""
        ...

    def put(self, key: str, source: LocalFile, progress: Bytes | None = None) -> None:
        """Send a file with its SHA-256 as metadata; raises `Corrupt` when the file is not what it should be."""
        ...

    def get(self, key: str, target: Path, sha256: str | None = None, progress: Bytes | None = None) -> str:
        """Fetch an object atomically, return its SHA-256; `Corrupt` on a wrong digest, `Refused` when there is none."""
        ...

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: Bytes | None = None) -> SyncResult:
        """Make `prefix/name` hold each file: compare digests, send what is missing, read back a proof."""
        ...

    def missing(self, prefix: str, files: Mapping[str, LocalFile]) -> Sequence[str]:
        """Names of the files that `prefix/name` does not hold with their digest; nothing is sent."""
        ...

    def sync_archive(self, key: str, files: Mapping[str, LocalFile], progress: Bytes | None = None) -> SyncResult:
        """Make `key` hold one archive of exactly these files; when it does, one look is all that happens."""
        ...

    def holds_archive(self, key: str, files: Mapping[str, LocalFile]) -> bool:
        """True when `key` holds the archive of exactly these files; nothing is sent."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; absent ones are no error."""
        ...

    def unfinished(self, prefix: str) -> Sequence[str]:
        """Keys under a prefix whose upload in parts was begun and never ended."""
        ...

    def abort_unfinished(self, prefix: str, age: timedelta) -> Sequence[str]:
        """Abort uploads in parts under a prefix that were begun longer ago than `age`; returns their keys."""
        ...

    def link(self, key: str, seconds: int) -> str:
        """A pre-signed address for fetching the object, valid for `seconds`."""
        ...
