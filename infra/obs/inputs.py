"""Local copies of objects that other programs wrote; fetched again when size or ETag have changed."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from infra.errors import Refused, UserError
from infra.names import check_name
from infra.obs.copy import check_folders
from infra.obs.parallel import run_all
from infra.ports.values import OnBytes
from infra.store.atomic import replacing

FILES = "files"
_INDEX = "fetched.jsonl"  # a line for each file that has arrived, so that a killed fetch goes on

Version = tuple[str, int, str]
"""Key, size in bytes and ETag of an object."""


class ListedStore(Protocol):
    """What is needed of a bucket."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        ...

    def listing(self, prefix: str) -> Sequence[Version]:
        """List the keys that begin with a prefix."""
        ...

    def get(self, key: str, target: Path, sha256: str | None = None, progress: OnBytes | None = None) -> str:
        """Fetch an object atomically and return its SHA-256."""
        ...


def copy_folder(store: ListedStore, prefix: str, folder: Path, threads: int) -> Path:
    """Make `folder/files` hold what lies under a prefix; return that folder.

    Raises:
        Refused: nothing lies there.
        UserError: a key cannot be a path of this machine.
    """
    start = f"{prefix}/"
    found = [version for version in store.listing(start) if not version[0].endswith("/")]  # others mark folders
    if not found:
        raise Refused(f"there is nothing under obs://{store.bucket}/{start}", hint="check the address")
    _refresh({version[0].removeprefix(start): (store, version) for version in found}, folder, threads)
    return folder / FILES


def copy_objects(
    wanted: Mapping[str, tuple[ListedStore, str]], own: Mapping[str, Path], folder: Path, threads: int
) -> Path:
    """Make `folder/files` hold single objects, and copies of files of this machine; absent ones are left out.

    Args:
        wanted: store and key by the path of the copy in that folder.
        own: file of this machine, likewise.
        folder: of the copies.
        threads: transfers at once.

    Raises:
        UserError: a name cannot be a path of this machine.
    """
    keys: dict[str, tuple[ListedStore, list[str]]] = {}
    for store, key in wanted.values():
        keys.setdefault(store.bucket, (store, []))[1].append(key)
    found: dict[tuple[str, str], Version] = {}
    for bucket, (store, listed) in keys.items():
        found |= {(bucket, version[0]): version for version in store.listing(_common(listed))}
    objects = {
        name: (store, found[store.bucket, key]) for name, (store, key) in wanted.items() if (store.bucket, key) in found
    }
    there = {name: path for name, path in own.items() if path.is_file()}
    _refresh(objects, folder, threads, there)
    for name, path in there.items():
        copy = folder / FILES / check_name(name, "the table", UserError, hint="use paths below the table's folder")
        if not copy.is_file() or copy.read_bytes() != path.read_bytes():
            with replacing(copy) as temporary:
                shutil.copyfile(path, temporary)
    return folder / FILES


def _common(keys: Sequence[str]) -> str:
    """The longest folder that all keys lie in: one listing instead of a request for each object."""
    first, last = min(keys), max(keys)
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(map(len, keys)))
    return first[: first[:same].rfind("/") + 1]


def _refresh(
    objects: Mapping[str, tuple[ListedStore, Version]], folder: Path, threads: int, others: Iterable[str] = ()
) -> None:
    """Fetch what is new or changed, and remove what is neither among the objects nor among the others."""
    for name, (store, _) in objects.items():
        check_name(name, f"obs://{store.bucket}", UserError, hint="rename the object")
    check_folders("the bucket", [*objects, *others])
    files, index = folder / FILES, folder / _INDEX
    known = _read(index)
    _remove_others(files, {*objects, *others})
    due = {name: item for name, item in objects.items() if _mark(files / name, item[1]) != known.get(name, [])}
    if not due and set(known) == set(objects):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with index.open("w", encoding="utf-8") as log:

        def note(name: str, version: Version) -> None:
            log.write(json.dumps([name, _mark(files / name, version)]) + "\n")
            log.flush()

        def fetch(name: str, store: ListedStore, version: Version) -> None:
            store.get(version[0], files / name)
            note(name, version)

        for name in objects.keys() - due.keys():
            note(name, objects[name][1])
        run_all(threads, [(partial(fetch, name, *item), item[1][1]) for name, item in due.items()])


def _mark(path: Path, version: Version) -> list[object] | None:
    """What must be equal for a copy to count; None without a file of the object's size."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return [*version, state.st_mtime_ns] if state.st_size == version[1] else None


def _remove_others(files: Path, wanted: set[str]) -> None:
    for path in sorted(files.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path.relative_to(files).as_posix() not in wanted:
            path.unlink()


def _read(index: Path) -> dict[str, list[object]]:
    """Read the index; a line that was cut counts as absent."""
    try:
        lines = index.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for line in lines:
        try:
            name, mark = json.loads(line)
        except ValueError:
            continue
        found[name] = mark
    return found
