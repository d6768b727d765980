"""Bring a notebook's files from its storage in OBS, as the button Sync OBS of the platform does.

A file that changed on both sides stays as it is here. Shell scripts lose their Windows line ends, with which bash does
not run them (docs/reference/tutorials.md T2); the answer names them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from infra.errors import UserError
from infra.modelarts.notebook_storage import Synced
from infra.store.atomic import write_text
from infra.store.bookkeeping import read_json
from infra.store.digests import file_digest

STORAGE = "ATLASFLOW_NOTEBOOK_STORAGE"
"""Variable of the Jupyter server: address of the notebook's storage in OBS; empty for a disk."""

RECORD = "ATLASFLOW_NOTEBOOK_RECORD"
"""Variable of the Jupyter server: file with the state of the last synchronisation."""


class Storage(Protocol):
    """A bucket."""

    def listing(self, prefix: str) -> Sequence[tuple[str, int, str]]:
        """List the keys that begin with a prefix, each with its size in bytes and its ETag."""
        ...

    def get(self, key: str, target: Path) -> str:
        """Fetch an object."""
        ...


@dataclass(frozen=True)
class _Known:
    """The state of a file after its last synchronisation: ETag in OBS, digest here."""

    etag: str
    sha256: str


def sync(storage: Storage, prefix: str, folder: Path, record: Path) -> Synced:
    """Fetch what is new or changed in OBS.

    Args:
        storage: the bucket.
        prefix: key prefix of the notebook's files.
        folder: of the notebook.
        record: file with the state of the last synchronisation.

    Raises:
        UserError: a key would lie outside of the folder.
        Refused, Transient: the answer of the object store.
    """
    known = read_json(record, _read) or {}
    fetched, repaired, kept = [], [], []
    for key, _, etag in storage.listing(prefix):
        name = key.removeprefix(prefix)
        if not name or name.endswith("/"):
            continue
        if ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise UserError(f"the object {key} would lie outside of the notebook's folder", hint="rename it")
        target, before = folder / name, known.get(name)
        if target.exists() and before is not None and before.etag == etag:
            continue
        if target.exists() and (before is None or file_digest(target) != before.sha256):
            kept.append(name)
            continue
        storage.get(key, target)
        if repair(target):
            repaired.append(name)
        known[name] = _Known(etag, file_digest(target))
        fetched.append(name)
        _write(record, known)
    return Synced(tuple(fetched), tuple(repaired), tuple(kept))


def repair(path: Path) -> bool:
    """Remove the Windows line ends of a shell script; True when it had some."""
    if path.suffix != ".sh":
        return False
    content = path.read_bytes()
    if b"\r\n" not in content:
        return False
    path.write_bytes(content.replace(b"\r\n", b"\n"))
    return True


def _write(record: Path, known: dict[str, _Known]) -> None:
    write_text(record, json.dumps({name: [item.etag, item.sha256] for name, item in known.items()}, indent=0))


def _read(body: Any) -> dict[str, _Known]:
    return {str(name): _Known(str(etag), str(sha256)) for name, (etag, sha256) in body.items()}
