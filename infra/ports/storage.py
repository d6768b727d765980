"""The ports to object storage: objects, files that stages upload, and maintenance. One client implements all three."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from infra.ports.values import LocalFile, OnBytes


@dataclass(frozen=True)
class StoredObject:
    """An object in a bucket; `sha256` is our own metadata, None for an object of another program."""

    key: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class SyncResult:
    """The result of a synchronisation: keys that were sent, keys that were there already, and the bytes sent."""

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
        """Create the bucket when it is missing; True when it was created."""
        ...

    def head(self, key: str) -> StoredObject | None:
        """Look one object up; None when there is none."""
        ...

    def list(self, prefix: str) -> Iterable[tuple[str, int]]:
        """List the keys that begin with a prefix, in byte order, with their sizes in bytes."""
        ...

    def put(self, key: str, source: LocalFile, progress: OnBytes | None = None) -> None:
        """Send a file with its SHA-256 as metadata.

        Raises:
            Corrupt: the file differs from its digest; nothing is stored.
        """
        ...

    def get(self, key: str, target: Path, sha256: str | None = None, progress: OnBytes | None = None) -> str:
        """Fetch an object atomically and return its SHA-256.

        Raises:
            Corrupt: the bytes have another digest than `sha256` or the metadata says.
            Refused: there is no such object.
        """
        ...

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        """Make `prefix/name` hold each file: compare digests, send what is missing, check the result."""
        ...


class UploadStore(Protocol):
    """The bucket as stages use it that upload data sets, code and releases."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        ...

    @property
    def emulated(self) -> bool:
        """True for the embedded server."""
        ...

    def ensure_bucket(self) -> bool:
        """Create the bucket when it is missing; True when it was created."""
        ...

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        """Make `prefix/name` hold each file: compare digests, send what is missing, check the result."""
        ...

    def missing(self, prefix: str, files: Mapping[str, LocalFile]) -> Sequence[str]:
        """Return the names of the files that `prefix/name` does not hold with their digest; nothing is sent."""
        ...

    def sync_archive(self, key: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        """Make `key` hold one archive of exactly these files; one request when it does already."""
        ...

    def holds_archive(self, key: str, files: Mapping[str, LocalFile]) -> bool:
        """True when `key` holds the archive of exactly these files; nothing is sent."""
        ...

    def link(self, key: str, seconds: int) -> str:
        """Return a pre-signed link for fetching the object, valid for `seconds`."""
        ...


class BucketMaintenance(Protocol):
    """Removal of objects and of unfinished uploads."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; absent ones are not an error."""
        ...

    def unfinished(self, prefix: str) -> Sequence[str]:
        """Return the keys under a prefix that have an unfinished multipart upload."""
        ...

    def abort_unfinished(self, prefix: str, age: timedelta) -> Sequence[str]:
        """Abort the multipart uploads under a prefix that are older than `age`; returns their keys."""
        ...
