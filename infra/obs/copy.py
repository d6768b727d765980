"""Copy, move, list and remove files and objects in any bucket, as the tutorials do with MoXing.

An address is one that `infra.obs.address.parse_address` reads. Source: docs/reference/modelarts.md §1.7.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from infra.errors import Corrupt, Refused, UserError
from infra.names import check_name
from infra.obs.address import ObjectAddress, join_key, parse_address
from infra.obs.connection import Connection
from infra.obs.download import fetch
from infra.obs.listing import listing, look
from infra.obs.pages import holds_objects
from infra.obs.parallel import run_all
from infra.obs.sync import remove, synchronise
from infra.obs.upload import SINGLE, send
from infra.ports.values import OnBytes
from infra.store.atomic import replacing
from infra.store.local_files import describe

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

SINGLE_COPY = 5 * 1024**3
"""Largest object that one request copies (docs/reference/obs.md §2.4); larger ones are copied in parts."""
COPY_PART = 512 * 1024**2


class Files:
    """File operations on objects of any bucket that these credentials may use, and on files of this machine."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def copy(self, source: str, target: str, progress: OnBytes | None = None) -> None:
        """Copy one file or object to a file or an object, verified and atomically.

        Raises:
            Refused: there is no such object.
            UserError: there is no such file, or the target is a folder.
        """
        origin, goal = parse_address(source), parse_address(target)
        if goal is None and Path(target).is_dir():
            raise UserError(f"{target} is a folder", hint="name the file in it")
        if goal is not None and origin is None:
            send(self._connection, goal.checked(), describe(Path(source)), progress)
        elif goal is None and origin is not None:
            fetch(self._connection, origin.checked(), Path(target), progress=progress)
        elif origin is not None and goal is not None:
            self._copy_object(origin.checked(), goal.checked(), progress)
        else:
            file = describe(Path(source))
            with replacing(Path(target)) as temporary:
                shutil.copyfile(source, temporary)
            if progress is not None:
                progress(file.size)

    def copy_parallel(
        self, source: str, target: str, *, names: Sequence[str] | None = None, progress: OnBytes | None = None
    ) -> tuple[str, ...]:
        """Copy everything under a folder; return the relative names that were copied.

        An empty source is not an error, as with MoXing. An upload skips objects that have the same bytes already.

        Args:
            source: folder or prefix.
            target: folder or prefix.
            names: copy only these; each must exist.
            progress: receives bytes as they are copied.
        """
        sizes = {name: size for name, size in self._walk(source) if not name.endswith("/")}
        if names is not None:
            absent = [name for name in names if name not in sizes]
            if absent:
                raise UserError(f"{source} does not hold '{absent[0]}'", hint="check the list of names")
            sizes = {name: sizes[name] for name in names}
        goal = parse_address(target)
        if goal is None:
            for name in sizes:
                check_name(name, source, UserError, hint="copy the one object, under another name")
            check_folders(source, sizes)
        else:
            for name in sizes:  # all of them, before the first is copied
                ObjectAddress(goal.bucket, join_key(goal.key, name)).checked()
        if goal is not None and parse_address(source) is None:
            files = {name: describe(Path(source) / name) for name in sizes}
            synchronise(self._connection, goal.bucket, goal.key, files, progress)
            return tuple(sizes)
        large = [name for name, size in sizes.items() if size > SINGLE]
        for name in large:  # each is copied in parallel parts
            self.copy(_below(source, name), _below(target, name), progress)
        jobs = [
            (partial(self.copy, _below(source, name), _below(target, name)), size)
            for name, size in sizes.items()
            if size <= SINGLE
        ]
        run_all(self._connection.threads, jobs, progress)
        return tuple(sizes)

    def exists(self, address: str) -> bool:
        """True for an object, a file, a folder of this machine, or a prefix with objects under it."""
        found = parse_address(address)
        if found is None:
            return Path(address).exists()
        return self._look(found) is not None or self.is_directory(address)

    def is_file(self, address: str) -> bool:
        """True for an object or a file; only this one needs to be readable."""
        found = parse_address(address)
        return Path(address).is_file() if found is None else self._look(found) is not None

    def is_directory(self, address: str) -> bool:
        """True for a folder, or a prefix with objects under it."""
        found = parse_address(address)
        if found is None:
            return Path(address).is_dir()
        prefix = found.prefix
        return self._connection.call("list", str(found), lambda: holds_objects(self._connection, found.bucket, prefix))

    def list_directory(self, address: str, *, recursive: bool = False) -> list[str]:
        """Return the relative names under a folder, in byte order; folders have no trailing slash."""
        return sorted({name.rstrip("/") for name, _ in self.entries(address, recursive=recursive)})

    def entries(self, address: str, *, recursive: bool = False) -> list[tuple[str, int]]:
        """Return names as `list_directory` does, with bytes; a folder ends with a slash and sums what is under it."""
        found: Counter[str] = Counter()
        for name, size in self._walk(address):
            first, slash, _ = name.partition("/")
            found[name if recursive else first + slash] += size
        return sorted(found.items())

    def size(self, address: str) -> int:
        """Return the size of one object or file in bytes; `Refused` or `UserError` when there is none."""
        found = parse_address(address)
        if found is None:
            return describe(Path(address)).size
        return self._present(found)["ContentLength"]

    def make_dirs(self, address: str) -> None:
        """Create a folder of this machine; a bucket has no folders to create."""
        if parse_address(address) is None:
            Path(address).mkdir(parents=True, exist_ok=True)

    def remove(self, address: str, *, recursive: bool = False) -> None:
        """Remove one file or object, or with `recursive` everything under a folder; absent ones are not an error.

        Raises:
            UserError: the address is a whole bucket.
        """
        found = parse_address(address)
        if found is None:
            path = Path(address)
            if recursive and path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            return
        if not found.key.strip("/"):
            raise UserError(f"{address} is a whole bucket", hint="name a key or a prefix in it")
        keys = [found.key]
        if recursive:
            keys += [key for key, _, _ in listing(self._connection, found.bucket, found.prefix)]
        remove(self._connection, found.bucket, keys)

    def rename(self, source: str, target: str) -> None:
        """Move one file or object: copy and verify it, then remove the source."""
        if source != target:
            self.copy(source, target)
            self.remove(source)

    def _walk(self, address: str) -> Iterator[tuple[str, int]]:
        found = parse_address(address)
        if found is None:
            root = Path(address)
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    yield path.relative_to(root).as_posix(), path.stat().st_size
            return
        prefix = found.prefix
        for key, size, _ in listing(self._connection, found.bucket, prefix):
            if key != prefix:
                yield key.removeprefix(prefix), size

    def _look(self, address: ObjectAddress) -> "HeadObjectOutputTypeDef | None":
        return look(self._connection, address) if address.key else None

    def _present(self, address: ObjectAddress) -> "HeadObjectOutputTypeDef":
        found = self._look(address)
        if found is None:
            raise Refused(
                f"{address} at {self._connection.endpoint}: there is no such object", hint="check the address"
            )
        return found

    def _copy_object(self, source: ObjectAddress, target: ObjectAddress, progress: OnBytes | None) -> None:
        """Copy within the store, with metadata; no byte passes this machine."""
        from boto3.s3.inject import copy  # noqa: PLC0415 - as in `open_connection`
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415

        found = self._present(source)
        config = TransferConfig(
            multipart_threshold=SINGLE_COPY,
            multipart_chunksize=COPY_PART,
            max_concurrency=self._connection.threads,
        )

        extra = {
            "Metadata": found["Metadata"],
            "MetadataDirective": "REPLACE",  # a copy in parts drops them by default
            "ContentType": found["ContentType"],
        }
        self._connection.call(
            "copy",
            str(target),
            lambda: copy(
                self._connection.s3,
                {"Bucket": source.bucket, "Key": source.key},
                target.bucket,
                target.key,
                ExtraArgs=extra,
                Config=config,
            ),
        )
        stored = self._present(target)
        if (stored["ContentLength"], stored["Metadata"]) != (found["ContentLength"], found["Metadata"]):
            raise Corrupt(f"{target} is not the copy of {source}", hint="another program writes there; copy again")
        if progress is not None:
            progress(found["ContentLength"])


def _below(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if "://" in folder else str(Path(folder) / name)


def check_folders(source: str, names: Iterable[str]) -> None:
    """Check that no file has the name of a folder; objects may have the name of a prefix.

    Raises:
        UserError: one has.
    """
    folders = {str(parent): name for name in names for parent in PurePosixPath(name).parents}
    for name in names:
        if name in folders:
            raise UserError(
                f"{source} holds both '{name}' and '{folders[name]}', which a folder of this machine cannot",
                hint="copy one of them alone",
            )
