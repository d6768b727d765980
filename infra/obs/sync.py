"""Make a prefix hold a set of files: compare, send what is missing, read back a proof."""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import botocore.exceptions

from infra.errors import Corrupt, UserError
from infra.obs.connection import Connection
from infra.obs.keys import Place, checked, joined
from infra.obs.look import head, listing
from infra.obs.parallel import run_all
from infra.obs.unfinished import abort_older
from infra.obs.upload import SINGLE, send
from infra.ports import Bytes, LocalFile, SyncResult

_ABANDONED = timedelta(days=1)


def synchronise(
    connection: Connection, bucket: str, prefix: str, files: Mapping[str, LocalFile], progress: Bytes | None = None
) -> SyncResult:
    """Make `prefix/name` hold each file; nothing else under the prefix is touched.

    Raises:
        Corrupt: a file changed, or what was sent is not what is there afterwards.
        Refused, Transient: the store's answer; what was sent until then stays, and is kept by the next attempt.
    """
    wanted, folder = _places(bucket, prefix, files), joined(prefix, "")
    missing = _missing(connection, bucket, folder, wanted)
    if missing:
        abort_older(connection, bucket, folder, _ABANDONED)
        _send_all(connection, missing, progress)
        unproved = _missing(connection, bucket, folder, missing)
        if unproved:
            raise Corrupt(
                f"{next(iter(unproved))} and {len(unproved) - 1} more are not there as they were sent",
                hint="somebody else writes to this prefix; send again, or choose another obs.prefix",
            )
    return SyncResult(
        sent=tuple(place.key for place in missing),
        kept=tuple(place.key for place in wanted if place not in missing),
        bytes_sent=sum(file.size for file in missing.values()),
    )


def missing_names(connection: Connection, bucket: str, prefix: str, files: Mapping[str, LocalFile]) -> tuple[str, ...]:
    """Names of the files that the prefix does not hold with their digest."""
    places = _places(bucket, prefix, files)
    missing = _missing(connection, bucket, joined(prefix, ""), places)
    return tuple(name for name, place in zip(files, places, strict=True) if place in missing)


def _places(bucket: str, prefix: str, files: Mapping[str, LocalFile]) -> dict[Place, LocalFile]:
    places = {checked(bucket, joined(prefix, name)): file for name, file in files.items()}
    if len(places) != len(files):
        raise UserError(f"two of the files have the same key under {prefix}")
    return places


def _missing(
    connection: Connection, bucket: str, folder: str, wanted: Mapping[Place, LocalFile]
) -> dict[Place, LocalFile]:
    """Those of the files whose bytes are not there: one listing, and one look at each whose ETag tells nothing."""
    there = {key: (size, tag) for key, size, tag in listing(connection, bucket, folder)}
    missing, unsure = {}, {}
    for place, file in wanted.items():
        size, tag = there.get(place.key, (-1, ""))
        if size != file.size:
            missing[place] = file
        elif file.size > SINGLE or tag != _tag(file):
            unsure[place] = file
    with ThreadPoolExecutor(connection.threads) as pool:
        found = pool.map(lambda place: head(connection, place), unsure)
        missing.update(
            {
                place: file
                for (place, file), stored in zip(unsure.items(), found, strict=True)
                if stored is None or stored.sha256 != file.sha256
            }
        )
    return {place: file for place, file in wanted.items() if place in missing}


def _tag(file: LocalFile) -> str:
    """The ETag of a file that was sent with one request (not under server-side encryption); empty if it changed."""
    if not file.path.is_file():
        return ""
    data = file.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        return ""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _send_all(connection: Connection, files: Mapping[Place, LocalFile], progress: Bytes | None) -> None:
    """Large files one after the other, each in parallel parts; then small ones side by side."""
    small: dict[Place, LocalFile] = {}
    for place, file in files.items():
        if file.size > SINGLE:
            send(connection, place, file, progress)
        else:
            small[place] = file
    jobs = [(partial(send, connection, place, file), file.size) for place, file in small.items()]
    run_all(connection.threads, jobs, progress)


def remove(connection: Connection, bucket: str, keys: Iterable[str]) -> None:
    """Delete objects, 1,000 a request; absent ones are no error."""
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
