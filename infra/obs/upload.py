"""Send one file: the bytes that are hashed are the bytes that are sent.

A part is read into memory once; its bytes go into the running SHA-256 and to the server. A file that changes during
the upload is therefore never stored under its old digest.
"""

import base64
import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from infra.errors import Corrupt, UserError
from infra.obs.address import ObjectAddress
from infra.obs.connection import Connection
from infra.obs.errors import foreign
from infra.obs.listing import DIGEST
from infra.obs.multipart import MEBIBYTE, Multipart
from infra.ports.values import LocalFile, OnBytes

SINGLE = 16 * MEBIBYTE
"""Files up to this size are sent with one request, so their ETag is the MD5 of their bytes."""


def send(
    connection: Connection,
    address: ObjectAddress,
    source: LocalFile,
    progress: OnBytes | None = None,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Store a file with its SHA-256 and `extra` as metadata.

    Raises:
        Corrupt: the file differs from `source`; nothing is stored.
        UserError: the file cannot be read.
    """
    try:
        file = source.path.open("rb")
    except OSError as error:
        raise UserError(f"{source.path} cannot be read: {error.strerror}", hint="check the path") from error
    metadata = {**(extra or {}), DIGEST: source.sha256}
    with file:
        if source.size <= SINGLE:
            _send_whole(connection, address, source, metadata, file)
            if progress is not None:
                progress(source.size)
        else:
            Multipart(connection, address, source, metadata, content_type(address.key)).send(file, progress)


def send_bare(connection: Connection, address: ObjectAddress, source: Path) -> None:
    """Store a file in one request and without metadata, as other programs do.

    Raises:
        UserError: the file cannot be read.
    """

    def put() -> None:
        with source.open("rb") as file:
            answer = connection.s3.put_object(Bucket=address.bucket, Key=address.key, Body=file)
        if not answer.get("ETag"):
            raise foreign(str(address), connection.endpoint, "an object without an ETag")

    try:
        connection.call("put", str(address), put)
    except FileNotFoundError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}", hint="check the path") from error


def content_type(key: str) -> str:
    """Return the media type that a browser gets with a pre-signed link."""
    return mimetypes.guess_type(key)[0] or "application/octet-stream"


def _send_whole(
    connection: Connection, address: ObjectAddress, source: LocalFile, metadata: Mapping[str, str], file: BinaryIO
) -> None:
    data = file.read(source.size + 1)
    if len(data) != source.size or hashlib.sha256(data).hexdigest() != source.sha256:
        raise changed(source)
    md5 = hashlib.md5(data, usedforsecurity=False)

    def put() -> None:
        answer = connection.s3.put_object(
            Bucket=address.bucket,
            Key=address.key,
            Body=data,
            ContentMD5=base64.b64encode(md5.digest()).decode(),
            Metadata=metadata,
            ContentType=content_type(address.key),
        )
        # The ETag of an encrypted object is no MD5, so its metadata decide (docs/reference/pitfalls.md §8.20).
        if answer.get("ETag", "").strip('"') != md5.hexdigest():
            _check_stored(connection, address, len(data), metadata)

    connection.call("put", str(address), put)


def _check_stored(connection: Connection, address: ObjectAddress, size: int, metadata: Mapping[str, str]) -> None:
    """Check that the object is the one sent, after an answer whose ETag does not say so.

    Raises:
        Transient: it is not: something else than the store has answered.
    """
    stored = connection.s3.head_object(Bucket=address.bucket, Key=address.key)
    if (stored["ContentLength"], stored["Metadata"]) != (size, metadata):
        raise foreign(str(address), connection.endpoint, "the ETag is not that of the bytes sent")


def changed(source: LocalFile) -> Corrupt:
    """Return the error for a file that differs from its digest."""
    return Corrupt(
        f"{source.path} has changed: it should have {source.size} bytes with SHA-256 {source.sha256}",
        hint="run the stage that makes this file again; `atlasflow verify` finds other damage",
    )
