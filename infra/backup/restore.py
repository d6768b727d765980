"""Restore a home from a backup: unpack and check everything in a temporary folder, then rename it."""

import hashlib
import json
import os
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from infra.backup import interrupted
from infra.backup.contents import MANIFEST, belongs
from infra.backup.interrupted import staged_place
from infra.backup.write import SCHEMA
from infra.errors import Corrupt, Refused, UserError
from infra.services import Services
from infra.store import latest
from infra.store.artifacts import ArtifactStore
from infra.store.atomic import sync
from infra.store.disk import room_for
from infra.store.gc import LOCK as GARBAGE_LOCK
from infra.store.locks import hold, remove_unheld
from infra.store.receipts import Receipts

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Restored:
    """The result: time of the backup (seconds since 1970), files, bytes, and where the previous home was moved."""

    created: float
    files: int
    bytes: int
    before: Path | None


def restore(archive: Path, home: Path, *, replace: bool = False) -> Restored:
    """Restore a home to its state at the time of the backup.

    Args:
        archive: written by `back_up`.
        home: empty or absent, unless `replace` is set.
        replace: move an existing home to `<home>.before-<time>`.

    Raises:
        UserError: there is no archive, or the home is not empty.
        Corrupt: the archive is truncated, changed, or not a backup.
        Refused: the archive has a newer schema, or the home is in use.
    """
    if not archive.is_file():
        raise UserError(f"there is no backup {archive}", hint="`atlasflow backup FILE.tar.gz` writes one")
    if home.is_mount():
        hint = "set ATLASFLOW_HOME to a folder in it"
        raise UserError(f"{home} is a mount point, so it cannot be replaced by another folder", hint=hint)
    used = home.exists() and any(home.iterdir())
    if used and not replace:
        hint = "--replace moves it aside; ATLASFLOW_HOME selects another home"
        raise UserError(f"{home} is not empty", hint=hint)
    staged = staged_place(home)
    lock = home.with_name(f".{home.name}.restoring.lock")
    with hold(lock, lambda: _busy("another restore is in progress here")):
        shutil.rmtree(staged, ignore_errors=True)
        try:
            with room_for(f"home {home}"):
                manifest = _unpack(archive, staged)
            os.sync()
            with _unused(home) if used else nullcontext():
                before = _swap(staged, home, used=used)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    remove_unheld([lock])
    _show_latest(home)
    sizes = [int(entry["size"]) for entry in manifest["files"].values()]
    return Restored(float(manifest["created"]), len(sizes), sum(sizes), before)


def _unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Unpack and check every member; return the manifest."""
    found: dict[str, dict[str, object]] = {}
    manifest: bytes | None = None
    folder.mkdir(mode=0o700)
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file is None or manifest is not None or member.name in found:
                    raise Corrupt(f"{archive} holds '{member.name}', which a backup does not contain")
                if member.name == MANIFEST:
                    manifest = file.read()
                elif belongs(member.name):
                    found[member.name] = _write(file, folder / member.name, member.mode)
                else:
                    raise Corrupt(f"{archive} holds '{member.name}', which does not belong in a home")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise Corrupt(f"{archive} is truncated, or not a backup: {error}", hint="use another backup") from error
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno is not None:
            raise
        raise Corrupt(f"{archive} is damaged: {error}", hint="use another backup") from error  # gzip raises it
    return _checked(archive, manifest, found)


def _checked(archive: Path, manifest: bytes | None, found: dict[str, dict[str, object]]) -> dict[str, Any]:
    if manifest is None:
        raise Corrupt(f"{archive} has no manifest: it is truncated, or not a backup", hint="use another backup")
    try:
        body: dict[str, Any] = json.loads(manifest)
        schema, files = int(body["schema"]), dict(body["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"the manifest of {archive} is damaged: {error}", hint="use another backup") from error
    if schema > SCHEMA:
        hint = "update this checkout"
        raise Refused(f"{archive} was written by a newer AtlasFlow (schema {schema}, here {SCHEMA})", hint=hint)
    differing = [name for name in files.keys() | found.keys() if files.get(name) != found.get(name)]
    if differing:
        raise Corrupt(f"{archive}: {min(differing)} differs from the manifest", hint="use another backup")
    return body


def _write(source: IO[bytes], target: Path, mode: int) -> dict[str, object]:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while block := source.read(_BLOCK):
            digest.update(block)
            size += file.write(block)
    target.chmod(mode & 0o644)
    return {"sha256": digest.hexdigest(), "size": size}


def _swap(staged: Path, home: Path, *, used: bool) -> Path | None:
    """Put the new home in place; return where the old one is. Only a kill can come between: its note tells of it."""
    before = interrupted.previous(home)
    if used:
        before = home.with_name(f"{home.name}.before-{time.strftime('%Y%m%dT%H%M%S')}")
        interrupted.note(home, before)
        home.rename(before)
    try:
        staged.rename(home)
    except BaseException:
        if used and before is not None:
            before.rename(home)
        raise
    sync(home.parent)
    interrupted.forget(home)
    return before


@contextmanager
def _unused(home: Path) -> Iterator[None]:
    """Check that no run is in progress in a home and none of its services runs; keep new runs out."""
    running = [status.title for status in Services(home).status() if status.running]
    if running:
        raise Refused(f"{home} is in use: {', '.join(running)} runs", hint="`atlasflow down` stops its services")
    with hold(home / "locks" / GARBAGE_LOCK, lambda: _busy(f"a run is in progress in {home}")):
        yield


def _busy(what: str) -> None:
    raise Refused(what, hint="wait until it ends")


def _show_latest(home: Path) -> None:
    receipts, store = Receipts(home), ArtifactStore(home)
    for folder in sorted((home / "receipts").glob("*")):
        newest = receipts.latest(folder.name)
        if newest is not None:
            latest.show(home, store, newest)
