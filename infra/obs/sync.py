"""Make a prefix hold a set of files: compare digests, send what is missing, check the result."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import botocore.exceptions

from infra.errors import Corrupt, UserError
from infra.obs.address import ObjectAddress, join_key
from infra.obs.connection import Connection
from infra.obs.errors import Denied
from infra.obs.listing import head, listing
from infra.obs.parallel import run_all
from infra.obs.unfinished import abort_older
from infra.obs.upload import SINGLE, send
from infra.ports.storage import SyncResult
from infra.ports.values import LocalFile, OnBytes

log = logging.getLogger(__name__)

_ABANDONED_AGE = timedelta(days=1)


def synchronise(
    connection: Connection, bucket: str, prefix: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None
) -> SyncResult:
    """Make `prefix/name` hold each file; leave everything else under the prefix alone.

    Raises:
        Corrupt: a file changed, or an object differs after it was sent.
        Refused, Transient: the store's answer; the next attempt keeps what was sent.
    """
    wanted, folder = _keys(bucket, prefix, files), join_key(prefix, "")
    missing = _missing(connection, bucket, folder, wanted)
    if missing:
        _abort_abandoned(connection, bucket, folder)
        _send_all(connection, bucket, missing, progress)
        differing = _missing(connection, bucket, folder, missing)
        if differing:
            raise Corrupt(
                f"obs://{bucket}/{next(iter(differing))} and {len(differing) - 1} more differ from what was sent",
                hint="another program writes to this prefix; send again, or choose another obs.prefix",
            )
    return SyncResult(
        sent=tuple(missing),
        kept=tuple(key for key in wanted if key not in missing),
        bytes_sent=sum(file.size for file in missing.values()),
    )


def _abort_abandoned(connection: Connection, bucket: str, folder: str) -> None:
    """Abort uploads that were given up long ago; who may not do that can still send."""
    try:
        abort_older(connection, bucket, folder, _ABANDONED_AGE)
    except Denied as error:
        log.warning("abandoned uploads under obs://%s/%s stay: %s", bucket, folder, error.message)


def missing_names(connection: Connection, bucket: str, prefix: str, files: Mapping[str, LocalFile]) -> tuple[str, ...]:
    """Return the names of the files that the prefix does not hold with their digest."""
    keys = _keys(bucket, prefix, files)
    missing = _missing(connection, bucket, join_key(prefix, ""), keys)
    return tuple(name for name, key in zip(files, keys, strict=True) if key in missing)


def _keys(bucket: str, prefix: str, files: Mapping[str, LocalFile]) -> dict[str, LocalFile]:
    keys = {ObjectAddress(bucket, join_key(prefix, name)).checked().key: file for name, file in files.items()}
    if len(keys) != len(files):
        raise UserError(f"two of the files have the same key under {prefix}")
    return keys


def _missing(connection: Connection, bucket: str, folder: str, wanted: Mapping[str, LocalFile]) -> dict[str, LocalFile]:
    """Find the missing files: one listing, and one HEAD for each object with an inconclusive ETag."""
    tags: dict[str, str] = {}
    with ThreadPoolExecutor(connection.threads) as pool:
        listed = pool.submit(listing, connection, bucket, folder)
        for key, file in wanted.items():  # compute ETags while the server lists
            if listed.done():
                break
            if file.size <= SINGLE:
                tags[key] = _tag(file)
        there = {key: (size, tag) for key, size, tag in listed.result()}
        missing, unsure = set(), []
        for key, file in wanted.items():
            size, tag = there.get(key, (-1, ""))
            if size != file.size:
                missing.add(key)
            elif file.size > SINGLE or tag != (tags[key] if key in tags else _tag(file)):
                unsure.append(key)
        for key, stored in zip(
            unsure, pool.map(lambda key: head(connection, ObjectAddress(bucket, key)), unsure), strict=True
        ):
            if stored is None or stored.sha256 != wanted[key].sha256:
                missing.add(key)
    return {key: file for key, file in wanted.items() if key in missing}


def _tag(file: LocalFile) -> str:
    """Return the ETag of a file sent in one request (without server-side encryption); empty if the file changed."""
    if not file.path.is_file():
        return ""
    data = file.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        return ""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _send_all(connection: Connection, bucket: str, files: Mapping[str, LocalFile], progress: OnBytes | None) -> None:
    """Send large files one after the other, each in parallel parts; then small ones in parallel."""
    small: dict[str, LocalFile] = {}
    for key, file in files.items():
        if file.size > SINGLE:
            send(connection, ObjectAddress(bucket, key), file, progress)
        else:
            small[key] = file
    jobs = [(partial(send, connection, ObjectAddress(bucket, key), file), file.size) for key, file in small.items()]
    run_all(connection.threads, jobs, progress)


def remove(connection: Connection, bucket: str, keys: Iterable[str]) -> None:
    """Delete objects, 1,000 a request; absent ones are not an error."""
    names = list(keys)
    for start in range(0, len(names), 1000):
        batch = names[start : start + 1000]

        def delete(batch: list[str] = batch) -> None:
            answer = connection.s3.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
            )
            for problem in answer.get("Errors", []):
                message = f"{problem.get('Key')}: {problem.get('Message')}"
                raise botocore.exceptions.ClientError(
                    {"Error": {"Code": problem.get("Code", ""), "Message": message}}, "DeleteObjects"
                )

        connection.call("delete", f"obs://{bucket}/{batch[0]}", delete)
