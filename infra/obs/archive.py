"""Many small files as one object: a request a file is what makes them slow (docs/reference/pitfalls.md §8.21)."""

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from infra.errors import Corrupt, UserError
from infra.names import check_name
from infra.obs.address import ObjectAddress
from infra.obs.connection import Connection
from infra.obs.download import fetch
from infra.obs.listing import look
from infra.obs.upload import changed, send
from infra.ports.storage import SyncResult
from infra.ports.values import Bytes, LocalFile

CONTENT = "content"
"""Name of the metadata that identifies the archived files: the digest of their names and digests."""


def content_digest(files: Mapping[str, LocalFile]) -> str:
    """SHA-256 over sorted `digest  name` lines: tells two sets of files apart without reading them."""
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def sync_archive(
    connection: Connection, address: ObjectAddress, files: Mapping[str, LocalFile], progress: Bytes | None = None
) -> SyncResult:
    """Make `address` hold an archive (tar) of exactly these files; nothing is read or sent when it does.

    Raises:
        Corrupt: a file has changed.
        UserError: a name that leaves the folder it will be unpacked in.
    """
    if holds_archive(connection, address, files):
        return SyncResult((), (address.key,), 0)
    content = content_digest(files)
    with tempfile.TemporaryDirectory() as folder:
        archive = _pack(files, Path(folder) / "archive.tar")
        send(connection, address, archive, progress, {CONTENT: content})
    if not holds_archive(connection, address, files):
        raise Corrupt(f"{address} is not there as it was sent", hint="somebody else writes to this key; send again")
    return SyncResult((address.key,), (), archive.size)


def holds_archive(connection: Connection, address: ObjectAddress, files: Mapping[str, LocalFile]) -> bool:
    """True when `address` holds an archive of exactly these files."""
    found = look(connection, address)
    return found is not None and found["Metadata"].get(CONTENT) == content_digest(files)


def fetch_archive(
    connection: Connection,
    address: ObjectAddress,
    folder: Path,
    sha256: str | None = None,
    progress: Bytes | None = None,
) -> str:
    """Fetch an archive and unpack it as `folder`, which appears whole or not at all; returns the archive's SHA-256.

    Raises:
        Corrupt: the archive is not what its digest says, or is damaged.
        UserError: it holds a link or a path that leaves the folder, or `folder` is there and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already", hint="name a folder that does not exist yet")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        archive, tree = Path(temporary) / "archive.tar", Path(temporary) / "tree"
        digest = fetch(connection, address, archive, sha256, progress)
        tree.mkdir()
        try:
            _unpack(archive, tree, address)
        except tarfile.TarError as error:
            raise Corrupt(f"{address} is no archive, or a damaged one: {error}", hint="send it again") from error
        tree.replace(folder)
    return digest


class _Hashing(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.digest.update(data)
        return data


def _pack(files: Mapping[str, LocalFile], target: Path) -> LocalFile:
    """The same files give the same bytes: sorted, without times and owners."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            file = files[name]
            entry = tarfile.TarInfo(check_name(name, "the list of files", UserError, hint="write it as folder/file"))
            entry.size = file.size
            with file.path.open("rb") as stream:
                hashing = _Hashing(stream)
                try:
                    tar.addfile(entry, hashing)
                except OSError as error:  # tarfile's word for a file that ends too early
                    if error.errno is not None:
                        raise
                    raise changed(file) from error
                if stream.read(1) or hashing.digest.hexdigest() != file.sha256:
                    raise changed(file)
    with target.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return LocalFile(target, digest, target.stat().st_size)


def _unpack(archive: Path, tree: Path, address: ObjectAddress) -> None:
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            path = tree / check_name(str(PurePosixPath(member.name)), str(address), UserError)
            source = tar.extractfile(member) if member.isreg() else None
            if source is None:
                raise UserError(f"{address} holds '{member.name}', which is not a plain file")
            path.parent.mkdir(parents=True, exist_ok=True)
            with source, path.open("xb") as target:
                shutil.copyfileobj(source, target)
