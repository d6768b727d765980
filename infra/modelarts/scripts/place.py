"""Put code and data of a script where ModelArts reads them, under addresses made of their digests."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from infra.errors import UserError
from infra.modelarts.scripts.script import Placed
from infra.obs.address import ObjectAddress, parse_address
from infra.ports.storage import ObjectStore
from infra.store.digests import value_digest
from infra.store.local_files import describe


class ListedStore(ObjectStore, Protocol):
    """A bucket that lists ETags, too."""

    def listing(self, prefix: str) -> Sequence[tuple[str, int, str]]:
        """List the keys that begin with a prefix, each with its size in bytes and its ETag."""
        ...


OpenBucket = Callable[[str], ListedStore]
"""Opens a bucket by its name."""


def place(source: str, what: str, store: ListedStore, prefix: str, open_bucket: OpenBucket) -> Placed:
    """Return where a folder, or a file, is in object storage; one of this machine is sent there first.

    Hidden files and folders, and Python's caches, are left out.

    Args:
        source: a folder or a file of this machine, or its address.
        what: the option that names it, for messages.
        store: the bucket of the settings.
        prefix: key prefix for what is sent.
        open_bucket: opens the bucket of an address.

    Raises:
        UserError: there is nothing.
        Refused, Transient: the answer of the object store.
    """
    if parse_address(source) is not None:
        return _placed_already(source, what, open_bucket)
    folder = Path(source)
    if folder.is_file():
        file = describe(folder)
        address = ObjectAddress(store.bucket, f"{prefix.strip('/')}/{file.sha256[:16]}/{folder.name}")
        store.ensure_bucket()
        store.put(address.key, file)
        return Placed(str(address), file.sha256)
    if not folder.is_dir():
        raise UserError(f"{what}: there is no folder {source}", hint="give a folder, or obs://bucket/folder/")
    files = {path.relative_to(folder).as_posix(): describe(path) for path in _files(folder)}
    if not files:
        raise UserError(f"{what}: the folder {source} is empty", hint="check the path")
    digest = value_digest({name: file.sha256 for name, file in files.items()})
    target = ObjectAddress(store.bucket, f"{prefix.strip('/')}/{digest[:16]}/{folder.resolve().name}")
    store.ensure_bucket()
    store.sync(target.key, files)
    return Placed(target.folder, digest)


def boot_path(code: str, boot: str) -> str:
    """Return the boot file's path in the code directory.

    Args:
        code: the folder, or its address.
        boot: relative to it, or a whole path or address in it.

    Raises:
        UserError: it is not there.
    """
    if parse_address(code) is not None:
        relative = boot.removeprefix(f"{code.rstrip('/')}/")
        inside, there = PurePosixPath(relative), "://" not in relative
    else:
        root = Path(code).resolve()
        path = next((path for path in (root / boot, Path(boot).resolve()) if path.is_file()), root / boot)
        there = path.is_file() and path.is_relative_to(root)
        inside = PurePosixPath(path.relative_to(root)) if there else PurePosixPath(boot)
    if not there or ".." in inside.parts:
        raise UserError(f"--boot: there is no {boot} in {code}", hint="name the file as it is in the code directory")
    if inside.suffix != ".py":
        raise UserError(f"--boot: {boot} is not a Python file", hint="ModelArts starts a .py file")
    return inside.as_posix()


def _placed_already(source: str, what: str, open_bucket: OpenBucket) -> Placed:
    address = ObjectAddress.parse_folder(source)
    if not source.endswith("/"):
        file = [item for item in open_bucket(address.bucket).listing(address.key) if item[0] == address.key]
        if file:
            return Placed(str(address), value_digest([str(address), file]))
    listed = [item for item in open_bucket(address.bucket).listing(address.prefix) if not item[0].endswith("/")]
    if not listed:
        raise UserError(f"{what}: there is nothing at {address.folder}", hint="`atlasflow obs list` shows a folder")
    return Placed(address.folder, value_digest([address.folder, listed]))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            yield path
