"""Fetch one object in parallel ranges, verified and atomically."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import botocore.exceptions

from infra.errors import Corrupt, Transient
from infra.obs.address import ObjectAddress
from infra.obs.connection import Connection
from infra.obs.errors import code, foreign
from infra.obs.listing import DIGEST
from infra.obs.multipart import MEBIBYTE
from infra.obs.parallel import pool_of
from infra.ports.values import OnBytes
from infra.store.atomic import replacing

RANGE = 8 * MEBIBYTE
_BLOCK = 256 * 1024


@dataclass(frozen=True)
class _Found:
    """Facts about the object, from the answer to the first range."""

    size: int
    tag: str
    sha256: str | None
    md5: str | None


def fetch(
    connection: Connection,
    address: ObjectAddress,
    target: Path,
    sha256: str | None = None,
    progress: OnBytes | None = None,
) -> str:
    """Fetch an object into `target`, verified, atomically.

    Args:
        connection: to the store.
        address: of the object.
        target: the file to create or replace.
        sha256: expected digest. By default that of our own metadata, else the MD5 in the ETag of an object that was
            stored in one request and without encryption; of any other object only the size is checked.
        progress: receives bytes as ranges arrive.

    Returns:
        The SHA-256 of the bytes.

    Raises:
        Corrupt: the bytes do not match the digest, twice in a row.
        Refused: there is no such object.
    """
    with replacing(target, faults=connection.faults, point="obs.get.file") as temporary:
        actual, wanted = _attempt(connection, address, temporary, sha256, progress)
        if actual != wanted:
            # Bytes altered in transit are right the second time; those altered in the bucket are not.
            actual, wanted = _attempt(connection, address, temporary, sha256, None)
        if actual != wanted:
            raise Corrupt(
                f"{address} has SHA-256 {actual}, but should have {wanted}",
                hint="delete it and run the stage that stores it again",
            )
    return actual


def _attempt(
    connection: Connection, address: ObjectAddress, path: Path, sha256: str | None, progress: OnBytes | None
) -> tuple[str, str]:
    """Fetch all ranges; return the actual and the expected digest."""
    digest, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        found = connection.call("get", str(address), lambda: _first(connection, address, descriptor))
        for start, end in _in_order(connection, address, descriptor, found):
            for offset in range(start, end, MEBIBYTE):
                block = os.pread(descriptor, min(MEBIBYTE, end - offset), offset)
                digest.update(block)
                if sha256 is None and found.md5 is not None:
                    md5.update(block)
            if progress is not None:
                progress(end - start)
    finally:
        os.close(descriptor)
    actual = digest.hexdigest()
    if sha256 is None and found.md5 is not None and md5.hexdigest() != found.md5:
        return actual, f"(of other bytes: their MD5 is {found.md5})"
    return actual, sha256 or found.sha256 or actual


def _in_order(
    connection: Connection, address: ObjectAddress, descriptor: int, found: _Found
) -> Iterator[tuple[int, int]]:
    """Fetch the ranges after the first in parallel; yield each range in order when it has arrived."""
    first = min(found.size, RANGE)
    yield 0, first
    ranges = [(start, min(start + RANGE, found.size)) for start in range(first, found.size, RANGE)]
    if not ranges:
        return

    def fetch_range(span: tuple[int, int]) -> None:
        connection.call("get.range", str(address), lambda: _range(connection, address, descriptor, found.tag, span))

    with pool_of(min(connection.threads, len(ranges))) as pool:
        running = [pool.submit(fetch_range, span) for span in ranges]
        for span, future in zip(ranges, running, strict=True):
            future.result()
            yield span


def _first(connection: Connection, address: ObjectAddress, descriptor: int) -> _Found:
    """Fetch the first range with size, ETag and metadata: one request for a small object."""
    try:
        answer = connection.s3.get_object(Bucket=address.bucket, Key=address.key, Range=f"bytes=0-{RANGE - 1}")
    except botocore.exceptions.ClientError as error:
        if code(error) != "InvalidRange":
            raise
        answer = connection.s3.get_object(Bucket=address.bucket, Key=address.key)  # an empty object has no range
    if "ETag" not in answer:
        raise foreign(str(address), connection.endpoint, "an object without an ETag")
    size = int(answer["ContentRange"].rpartition("/")[2]) if "ContentRange" in answer else answer["ContentLength"]
    with closing(answer["Body"]) as body:
        _write(iter(lambda: body.read(_BLOCK), b""), descriptor, 0, min(size, RANGE), address)
    tag, ours = answer["ETag"].strip('"'), answer["Metadata"].get(DIGEST)
    encrypted = bool(answer.get("ServerSideEncryption"))
    is_md5 = ours is None and not encrypted and re.fullmatch("[0-9a-f]{32}", tag)
    return _Found(size, answer["ETag"], ours, tag if is_md5 else None)


def _range(connection: Connection, address: ObjectAddress, descriptor: int, tag: str, span: tuple[int, int]) -> None:
    start, end = span
    answer = connection.s3.get_object(
        Bucket=address.bucket, Key=address.key, Range=f"bytes={start}-{end - 1}", IfMatch=tag
    )
    with closing(answer["Body"]) as body:
        _write(iter(lambda: body.read(_BLOCK), b""), descriptor, start, end, address)


def _write(blocks: Iterator[bytes], descriptor: int, start: int, end: int, address: ObjectAddress) -> None:
    offset = start
    for block in blocks:
        offset += len(block)
        if offset > end:
            break
        os.pwrite(descriptor, block, offset - len(block))
    if offset != end:
        raise Transient(f"{address}: {offset - start} bytes arrived instead of {end - start}", hint="try again")
