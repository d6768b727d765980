"""Upload many small files as one object, since one request for each file is slow (docs/reference/pitfalls.md §8.21)."""

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
from infra.ports.values import LocalFile, OnBytes
from infra.store.local_files import describe

CONTENT = "content"
"""Metadata name of the digest over the archived files' names and digests."""


def content_digest(files: Mapping[str, LocalFile]) -> str:
    """Return the SHA-256 over sorted `digest  name` lines, which identifies a set of files without reading them."""
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def sync_archive(
    connection: Connection, address: ObjectAddress, files: Mapping[str, LocalFile], progress: OnBytes | None = None
) -> SyncResult:
    """Make `address` hold an archive (tar) of exactly these files; read and send nothing when it does already.

    Raises:
        Corrupt: a file has changed.
        UserError: a name is not a plain relative path.
    """
    for name in files:
        check_name(name, "the list of files", UserError, hint="write it as folder/file, in UTF-8")
    if holds_archive(connection, address, files):
        return SyncResult((), (address.key,), 0)
    content = content_digest(files)
    with tempfile.TemporaryDirectory() as folder:
        archive = _pack(files, Path(folder) / "archive.tar")
        send(connection, address, archive, progress, {CONTENT: content})
    if not holds_archive(connection, address, files):
        raise Corrupt(f"{address} differs from what was sent", hint="another program writes to this key; send again")
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
    progress: OnBytes | None = None,
) -> str:
    """Fetch an archive and unpack it as `folder`, atomically; return the archive's SHA-256.

    Raises:
        Corrupt: the archive does not match its digest, or is damaged.
        UserError: it contains a link or an unsafe path, or `folder` exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already", hint="name a folder that does not exist yet")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        archive, tree = Path(temporary) / "archive.tar", Path(temporary) / "tree"
        digest = fetch(connection, address, archive, sha256, progress)
        tree.mkdir()
        try:
            _unpack(archive, tree, address)
        except tarfile.TarError as error:
            raise Corrupt(f"{address} is not an archive, or is damaged: {error}", hint="send it again") from error
        tree.replace(folder)
    return digest


class _Hashing(io.RawIOBase):
    """Hashes a file while it is read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.digest.update(data)
        return data


def _pack(files: Mapping[str, LocalFile], target: Path) -> LocalFile:
    """Write a reproducible archive: sorted, without times and owners."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            file = files[name]
            entry = tarfile.TarInfo(name)
            entry.size = file.size
            with file.path.open("rb") as stream:
                hashing = _Hashing(stream)
                try:
                    tar.addfile(entry, hashing)
                except OSError as error:  # tarfile raises it for a file that ends too early
                    if error.errno is not None:
                        raise
                    raise changed(file) from error
                if stream.read(1) or hashing.digest.hexdigest() != file.sha256:
                    raise changed(file)
    return describe(target)


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
