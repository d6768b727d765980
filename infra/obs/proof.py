"""Prove what a bucket holds by reading it: digests in metadata say only what a writer of the bucket wrote there."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.errors import Corrupt, Refused, UserError
from infra.obs.address import ObjectAddress, join_key
from infra.obs.archive import fetch_archive
from infra.obs.connection import Connection
from infra.obs.download import fetch
from infra.obs.parallel import pool_of
from infra.ports.values import LocalFile
from infra.store.local_files import describe_folder


def damaged_names(connection: Connection, bucket: str, prefix: str, files: Mapping[str, LocalFile]) -> list[str]:
    """Return the names of the files whose object under the prefix has other bytes; every object is read."""
    with TemporaryDirectory() as folder, pool_of(connection.threads) as pool:

        def is_whole(numbered: tuple[int, str]) -> bool:
            number, name = numbered
            target = Path(folder) / str(number)
            try:
                fetch(connection, ObjectAddress(bucket, join_key(prefix, name)), target, files[name].sha256)
            except (Corrupt, Refused):
                return False
            finally:
                target.unlink(missing_ok=True)
            return True

        whole = list(pool.map(is_whole, enumerate(files)))
    return [name for name, good in zip(files, whole, strict=True) if not good]


def archive_is_whole(connection: Connection, address: ObjectAddress, files: Mapping[str, LocalFile]) -> bool:
    """Read an archive, and compare every file in it."""
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        try:
            fetch_archive(connection, address, tree)
        except (Corrupt, Refused, UserError):
            return False
        found = describe_folder(tree)
    return {name: file.sha256 for name, file in found.items()} == {name: file.sha256 for name, file in files.items()}
