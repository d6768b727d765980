"""The object store client, for Huawei OBS, any other S3 server, and the embedded stand-in."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from infra.faults import NO_FAULTS, FaultPlan
from infra.obs.address import ObjectAddress, join_key
from infra.obs.archive import fetch_archive, holds_archive, sync_archive
from infra.obs.bucket import Access, BucketFacts, ensure, facts, prove_access
from infra.obs.connection import Connection, open_connection
from infra.obs.copy import Files
from infra.obs.download import fetch
from infra.obs.errors import NoBucket
from infra.obs.listing import head, listing
from infra.obs.proof import archive_is_whole, damaged_names
from infra.obs.sync import missing_names, remove, synchronise
from infra.obs.unfinished import abort_older, unfinished
from infra.obs.upload import send, send_bare
from infra.ports.storage import StoredObject, SyncResult
from infra.ports.values import LocalFile, OnBytes
from infra.settings import ObsSettings, RetrySettings


def connect(
    settings: ObsSettings,
    *,
    emulated: bool = False,
    faults: FaultPlan = NO_FAULTS,
    retry: RetrySettings = RetrySettings(),  # noqa: B008 - frozen
) -> "ObsClient":
    """Return the client of one bucket; it sends no request yet.

    Args:
        settings: with endpoint and keys; for the embedded server `infra.obs.emulator.seaweedfs.reached` fills them in.
        emulated: True when the endpoint is the embedded server.
        faults: planned faults, at the points `obs.…`.
        retry: attempts and delays of a request.

    Raises:
        UserError: no endpoint, no keys, or an endpoint that cannot work.
    """
    return ObsClient(open_connection(settings, faults, retry), settings, emulated=emulated)


class ObsClient:
    """One bucket; implements the ports of `infra/ports/storage.py`."""

    def __init__(self, connection: Connection, settings: ObsSettings, *, emulated: bool) -> None:
        self._connection = connection
        self._settings = settings
        self._bucket = settings.bucket
        self._emulated = emulated
        self._deep = False

    def read_every_byte(self) -> None:
        """From now on, compare the bytes of objects where their metadata would do."""
        self._deep = True

    def _damaged(self, prefix: str, files: Mapping[str, LocalFile]) -> Sequence[str]:
        missing = set(missing_names(self._connection, self._bucket, prefix, files))
        there = {name: file for name, file in files.items() if name not in missing}
        return damaged_names(self._connection, self._bucket, prefix, there)

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return self._connection.endpoint

    @property
    def emulated(self) -> bool:
        """True for the embedded server."""
        return self._emulated

    def ensure_bucket(self, location: str = "") -> bool:
        """Create the bucket as the settings say (private by default) when it is missing; True when it was created.

        Args:
            location: its region; empty: that of the settings.
        """
        return ensure(self._connection, self._settings, location)

    def facts(self) -> BucketFacts:
        """Ask for the properties of the bucket; empty ones where the server is not OBS."""
        return facts(self._connection, self._bucket)

    def prove_access(self) -> Access:
        """Write, read back and delete a probe object under the prefix of the settings."""
        return prove_access(self._connection, self._bucket, self._settings.prefix)

    @property
    def files(self) -> Files:
        """Moves and copies in any bucket, by address."""
        return Files(self._connection)

    def head(self, key: str) -> StoredObject | None:
        """Look one object up; None when there is none."""
        return head(self._connection, self._at(key))

    def list(self, prefix: str) -> Iterable[tuple[str, int]]:
        """List the keys that begin with `prefix`, in byte order, with their sizes in bytes."""
        return [(key, size) for key, size, _ in listing(self._connection, self._bucket, prefix)]

    def listing(self, prefix: str) -> Sequence[tuple[str, int, str]]:
        """List the keys that begin with `prefix`, in byte order, each with its size in bytes and its ETag."""
        return listing(self._connection, self._bucket, prefix)

    def put(self, key: str, source: LocalFile, progress: OnBytes | None = None) -> None:
        """Send a file with its SHA-256 as metadata; `Corrupt` when the file differs from its digest."""
        send(self._connection, self._at(key), source, progress)

    def put_bare(self, key: str, source: Path) -> None:
        """Send a file in one request and without our metadata, as other programs do; for stand-ins of these."""
        send_bare(self._connection, self._at(key), source)

    def get(self, key: str, target: Path, sha256: str | None = None, progress: OnBytes | None = None) -> str:
        """Fetch an object atomically, return its SHA-256; `Corrupt` on a wrong digest, `Refused` when there is none."""
        return fetch(self._connection, self._at(key), target, sha256, progress)

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        """Make `prefix/name` hold each file: compare digests, send what is missing, check the result."""
        if self._deep:  # an object with other bytes may carry the right digest, and would be kept
            self.delete(join_key(prefix, name) for name in self._damaged(prefix, files))
        return synchronise(self._connection, self._bucket, prefix, files, progress)

    def missing(self, prefix: str, files: Mapping[str, LocalFile]) -> Sequence[str]:
        """Return the names of the files that `prefix/name` does not hold with their digest; nothing is sent.

        A bucket that does not exist holds nothing.
        """
        try:
            missing = missing_names(self._connection, self._bucket, prefix, files)
        except NoBucket:
            return tuple(files)
        return missing or (self._damaged(prefix, files) if self._deep else ())

    def sync_archive(self, key: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        """Make `key` hold one archive of exactly these files; one request when it does already."""
        if self._deep and not self.holds_archive(key, files):
            self.delete([key])
        return sync_archive(self._connection, self._at(key), files, progress)

    def holds_archive(self, key: str, files: Mapping[str, LocalFile]) -> bool:
        """True when `key` holds the archive of exactly these files; nothing is sent."""
        try:
            holds = holds_archive(self._connection, self._at(key), files)
        except NoBucket:
            return False
        return holds and (not self._deep or archive_is_whole(self._connection, self._at(key), files))

    def get_archive(self, key: str, folder: Path, sha256: str | None = None, progress: OnBytes | None = None) -> str:
        """Fetch an archive and unpack it as the new `folder`; return the archive's SHA-256."""
        return fetch_archive(self._connection, self._at(key), folder, sha256, progress)

    def abort_unfinished(self, prefix: str, age: timedelta) -> Sequence[str]:
        """Abort the multipart uploads under a prefix that are older than `age`; return their keys."""
        return abort_older(self._connection, self._bucket, prefix, age)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; absent ones are not an error."""
        remove(self._connection, self._bucket, keys)

    def unfinished(self, prefix: str) -> Sequence[str]:
        """Return the keys under a prefix that have an unfinished multipart upload; `sync` aborts those a day old."""
        return [upload.address.key for upload in unfinished(self._connection, self._bucket, prefix)]

    def remove_bucket(self) -> None:
        """Delete the bucket, which must be empty."""
        self._connection.call(
            "bucket.delete",
            f"obs://{self._bucket}",
            lambda: self._connection.s3.delete_bucket(Bucket=self._bucket),
        )

    def link(self, key: str, seconds: int | None = None) -> str:
        """Return a pre-signed link for fetching the object, valid for `seconds` (at most seven days; None: as set)."""
        address = self._at(key)
        return self._links.call(
            "link",
            str(address),
            lambda: self._links.s3.generate_presigned_url(
                "get_object",
                Params={"Bucket": address.bucket, "Key": address.key},
                ExpiresIn=seconds or self._settings.link_seconds,
            ),
        )

    def _at(self, key: str) -> ObjectAddress:
        return ObjectAddress(self._bucket, key).checked()

    @cached_property
    def _links(self) -> Connection:
        """Signs links for the address at which people open them, which may differ from ours."""
        if not self._settings.link_endpoint:
            return self._connection
        settings = self._settings.model_copy(update={"endpoint": self._settings.link_endpoint})
        return open_connection(settings, self._connection.faults, self._connection.retry)
