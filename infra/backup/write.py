"""Write a backup of a home: a tar file, with a manifest of all digests as its last member.

It is consistent during a run: files are replaced atomically and artifacts never change, databases are copied by
SQLite's own backup, a file is read before those that it refers to, and no garbage is collected at the same time.
"""

import gzip
import hashlib
import io
import json
import os
import re
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from infra.backup.contents import FLEET_FILE, MANIFEST, RELEASES, SECRETS, STATE, TRACKING, files_of, is_sqlite
from infra.errors import Corrupt, UserError
from infra.store.artifacts import ArtifactStore
from infra.store.atomic import replacing
from infra.store.disk import is_damaged, room_for
from infra.store.gc import LOCK as GARBAGE_LOCK
from infra.store.gc import paths_aside, remove_temporary
from infra.store.locks import hold
from infra.store.receipts import Receipt, parse

SCHEMA = 1
SUFFIXES = (".tar", ".tar.gz", ".tgz")
_KILLED = re.compile(r"\.(tar|tar\.gz|tgz)\.[1-9][0-9]*-[0-9a-f]{12}\.tmp$")  # what a killed backup leaves
_COMPRESSION = 3  # most bytes are parameters, which hardly shrink
_DATABASE_SECONDS = 60


@dataclass(frozen=True)
class BackedUp:
    """The result of a backup: files, their bytes, databases that SQLite checked, and bytes of the archive."""

    files: int
    bytes: int
    databases: int
    archive_bytes: int


def back_up(home: Path, fleet_file: Path, target: Path, *, secrets: bool = False) -> BackedUp:
    """Write the state of a home to `target`, atomically and readable by its owner only.

    Args:
        home: AtlasFlow's home.
        fleet_file: the list of boards, which may lie outside the home.
        target: a new file; compressed if it ends in `.gz` or `.tgz`.
        secrets: include the keys of stand-ins and services.

    Raises:
        UserError: there is no home, or the target exists or has another suffix.
        Corrupt: an artifact, a receipt or a database is damaged.
        Refused: the disk is full, or a receipt has another schema.
    """
    if not target.name.endswith(SUFFIXES):
        raise UserError(f"'{target.name}' has an unknown suffix", hint=f"end it with {' or '.join(SUFFIXES)}")
    if target.exists():
        raise UserError(f"{target} exists already", hint="choose another name")
    if not (home / "receipts").is_dir():
        raise UserError(f"there is nothing to back up in {home}", hint="ATLASFLOW_HOME names another home")
    remove_temporary(path for path in target.parent.glob(".*.tmp") if _KILLED.search(path.name))
    shared = hold(home / "locks" / GARBAGE_LOCK, shared=True)
    with room_for(f"backup {target}"), shared, replacing(target, mode=0o600) as temporary:
        with _opened(temporary, compressed=not target.name.endswith(".tar")) as tar:
            writer = _Writer(tar)
            _write_state(writer, home, fleet_file)
            _write_artifacts(writer, home)
            for pattern in SECRETS if secrets else ():
                for path in sorted(home.glob(pattern)):
                    _write_place(writer, home, path.relative_to(home).as_posix())
            writer.finish()
        return BackedUp(len(writer.files), writer.bytes, writer.databases, temporary.stat().st_size)


class _Writer:
    """Adds members and records their digests."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.files: dict[str, dict[str, object]] = {}
        self.bytes = 0
        self.databases = 0

    def add(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Add a small file that was read at once."""
        self._add(name, io.BytesIO(data), len(data), mode)

    def add_file(self, name: str, path: Path, mode: int, sha256: str | None = None) -> None:
        """Add a file that does not change.

        Raises:
            Corrupt: it is missing, or has another digest than `sha256`.
        """
        try:
            with path.open("rb") as file:
                found = self._add(name, file, os.fstat(file.fileno()).st_size, mode)
        except FileNotFoundError:
            found = None
        if sha256 not in (None, found):
            problem = "is missing" if found is None else "was changed on disk"
            hint = "`atlasflow run` makes what is needed again, and `atlasflow gc` removes the rest"
            raise Corrupt(f"{name} {problem}, so no backup was written", hint=hint)

    def finish(self) -> None:
        """Write the manifest."""
        body = {"schema": SCHEMA, "created": time.time(), "files": self.files}
        data = json.dumps(body, indent=1, sort_keys=True).encode()
        self._tar.addfile(_info(MANIFEST, len(data), 0o644), io.BytesIO(data))

    def _add(self, name: str, file: IO[bytes], size: int, mode: int) -> str:
        if name in self.files:
            return str(self.files[name]["sha256"])
        reader = _Hashing(file)
        self._tar.addfile(_info(name, size, mode), reader)
        self.files[name] = {"sha256": reader.digest(), "size": size}
        self.bytes += size
        return reader.digest()


class _Hashing(io.RawIOBase):
    """Hashes a file while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


def _info(name: str, size: int, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, int(time.time())
    return info


@contextmanager
def _opened(path: Path, *, compressed: bool) -> Iterator[tarfile.TarFile]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if not compressed:
            with tarfile.open(fileobj=file, mode="w") as tar:
                yield tar
            return
        with gzip.GzipFile("", "wb", _COMPRESSION, file) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
            yield tar


def _write_state(writer: _Writer, home: Path, fleet_file: Path) -> None:
    for place in STATE:
        if place == FLEET_FILE:
            if fleet_file.exists():
                writer.add(FLEET_FILE, fleet_file.read_bytes())
        elif place == TRACKING:
            with hold(home / "locks" / TRACKING, shared=True):  # every writer holds it
                _write_place(writer, home, place)
        else:
            _write_place(writer, home, place)
    _write_releases(writer, home)


def _write_place(writer: _Writer, home: Path, place: str) -> None:
    for path in files_of(home, place):
        name = path.relative_to(home).as_posix()
        if name.startswith(f"{RELEASES}/"):
            continue
        try:
            if is_sqlite(path):
                _write_database(writer, name, path, _mode(path))
            else:
                writer.add(name, path.read_bytes(), _mode(path))
        except FileNotFoundError:
            continue  # it was removed after it was listed, as a delivered notification is


def _write_releases(writer: _Writer, home: Path) -> None:
    """Add the releases of the fleet; one that is removed while it is read is left out entirely."""
    for folder in sorted((home / RELEASES).glob("[!.]*")):
        place = folder.relative_to(home).as_posix()
        listed = list(files_of(home, place))
        try:
            read = [(path.relative_to(home).as_posix(), path.read_bytes(), _mode(path)) for path in listed]
        except FileNotFoundError:
            continue
        if list(files_of(home, place)) == listed:
            for name, data, mode in read:
                writer.add(name, data, mode)


def _mode(path: Path) -> int:
    return 0o600 if path.stat().st_mode & 0o077 == 0 else 0o644


def _write_database(writer: _Writer, name: str, path: Path, mode: int) -> None:
    """Add a consistent copy of a database that other processes may write to, by SQLite's online backup.

    Raises:
        Corrupt: the database is damaged; SQLite copies a damaged page as it is, so the copy is checked.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        # Beside a database in a folder that is read-only, SQLite cannot make its log, and nobody writes.
        alone = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
        address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
        source = sqlite3.connect(address, uri=True, timeout=_DATABASE_SECONDS)
        with closing(source), closing(sqlite3.connect(copy)) as target:
            try:
                source.backup(target)
                problems = [str(row[0]) for row in target.execute("PRAGMA quick_check(1)")]
            except sqlite3.DatabaseError as error:
                if not is_damaged(error):
                    raise
                raise _damaged_database(name, path, str(error)) from error
        if problems != ["ok"]:
            raise _damaged_database(name, path, problems[0])
        writer.databases += 1
        writer.add_file(name, copy, mode)


def _damaged_database(name: str, path: Path, problem: str) -> Corrupt:
    hint = f"move {path} away, or replace it with an intact copy"
    return Corrupt(f"the database {name} is damaged, so no backup was written: {problem}", hint=hint)


def _write_artifacts(writer: _Writer, home: Path) -> None:
    """Add all receipts, then all artifacts that they, and those kept aside, name."""
    receipts: list[Receipt] = []
    for path in files_of(home, "receipts"):
        text = path.read_bytes()
        receipts.append(parse(text, path))
        writer.add(path.relative_to(home).as_posix(), text)
    store = ArtifactStore(home)
    for artifact in (artifact for receipt in receipts for artifact in receipt.outputs.values()):
        if artifact.kind == "tree":
            path = store.tree_path(artifact.sha256)
            writer.add_file(path.relative_to(home).as_posix(), path, 0o444, artifact.sha256)
        for file in store.files(artifact).values():
            writer.add_file(file.path.relative_to(home).as_posix(), file.path, 0o444, file.sha256)
    for path in sorted(set(paths_aside(home, store))):
        if path.is_file():  # what such a receipt names may have been lost before it was kept aside
            writer.add_file(path.relative_to(home).as_posix(), path, 0o444)
