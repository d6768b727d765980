"""Multipart uploads: parallel, resumed after a kill, never left behind."""

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

import botocore.exceptions

from infra.errors import AtlasFlowError, Corrupt, Transient, UserError
from infra.obs.address import ObjectAddress
from infra.obs.connection import Connection
from infra.obs.errors import Denied, code, foreign
from infra.obs.listing import look
from infra.obs.pages import part_pages
from infra.obs.parallel import pool_of
from infra.obs.unfinished import UnfinishedUpload, abort, unfinished
from infra.ports.values import LocalFile, OnBytes

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

log = logging.getLogger(__name__)

MEBIBYTE = 1024 * 1024
PART = 8 * MEBIBYTE
MAX_PARTS = 10_000
MAX_PART = 5 * 1024 * MEBIBYTE
ATTEMPTS = 3
"""How often an upload is started when other processes end it or write to the same key."""
MEMORY = 48 * MEBIBYTE
"""Bytes of parts in memory at once, unless a single part is larger."""


def part_size(size: int) -> int:
    """Return the bytes of a part, a multiple of 1 MiB, so that 10,000 parts suffice (docs/reference/obs.md §2.4).

    Raises:
        UserError: the file is larger than the 48.8 TB of the largest object.
    """
    needed = -(-size // MAX_PARTS)
    if needed > MAX_PART:
        raise UserError(f"{size} bytes are more than one object may have (48.8 TB)", hint="split the file")
    return max(PART, -(-needed // MEBIBYTE) * MEBIBYTE)


class _GoneError(Exception):
    """The upload has ended: it was completed or aborted, perhaps by this process, when the answer was lost."""


@contextmanager
def _gone_as_error() -> Iterator[None]:
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if code(error) == "NoSuchUpload":
            raise _GoneError from error
        raise


class Multipart:
    """Sends one large file, and resumes what a killed upload of the same file left behind.

    A failed upload is aborted; only one of a killed or interrupted process stays, for the next one to resume.
    """

    def __init__(
        self,
        connection: Connection,
        address: ObjectAddress,
        source: LocalFile,
        metadata: Mapping[str, str],
        content_type: str,
    ) -> None:
        self.connection = connection
        self.address = address
        self.source = source
        self.metadata = metadata
        self.content_type = content_type
        self.part = part_size(source.size)
        self.parts = -(-source.size // self.part)
        self.in_flight = max(1, min(connection.threads, MEMORY // self.part))

    def send(self, file: BinaryIO, progress: OnBytes | None) -> None:
        """Store the file whole, with its digest, or not at all."""
        for _ in range(ATTEMPTS):
            upload, there = self._resume(file)
            with suppress(_GoneError):  # another process completed or aborted it: the stored object decides
                self._finish(upload or self._create(), there, file, progress)
            if self._stored():
                return
            # It was aborted, or it was started for another file with the same first parts, and has its metadata.
            progress = None
        raise Transient(
            f"{self.address} at {self.connection.endpoint}: another program keeps writing to this key",
            hint="send it again",
        )

    def _finish(self, upload: str, there: dict[int, str], file: BinaryIO, progress: OnBytes | None) -> None:
        try:
            tags = self._send_parts(upload, there, file, progress)
            self.connection.faults.reach("obs.multipart.sent")
            self._complete(upload, tags)
        except _GoneError:
            raise
        except Exception as error:
            try:
                abort(self.connection, self.address, upload)
            except AtlasFlowError as second:
                error.add_note(f"Its unfinished upload stays until the next one of this key: {second.message}")
            raise
        self.connection.faults.reach("obs.multipart.completed")

    def _resume(self, file: BinaryIO) -> tuple[str | None, dict[int, str]]:
        """Find the newest unfinished upload whose parts are this file's, with their ETags; abort all others."""
        resumable: tuple[str | None, dict[int, str]] = (None, {})
        for upload in reversed(self._unfinished()):
            parts = self._parts(upload.id) if resumable[0] is None else {}
            if parts and all(self._tag(file, number) == tag for number, tag in parts.items()):
                resumable = (upload.id, parts)
            else:
                abort(self.connection, self.address, upload.id)
        return resumable

    def _unfinished(self) -> list[UnfinishedUpload]:
        """The unfinished uploads of this very key, oldest first; none when these keys may not list them."""
        try:
            found = unfinished(self.connection, self.address.bucket, self.address.key)
        except Denied as error:
            log.warning("%s is sent without looking for an interrupted upload: %s", self.address, error.message)
            return []
        return [upload for upload in found if upload.address == self.address]

    def _parts(self, upload: str) -> dict[int, str]:
        def pages() -> dict[int, str]:
            with _gone_as_error():
                found = part_pages(self.connection, self.address.bucket, self.address.key, upload)
                return {part["PartNumber"]: part["ETag"].strip('"') for part in found}

        try:
            return self.connection.call("multipart.parts", str(self.address), pages)
        except _GoneError:
            return {}

    def _tag(self, file: BinaryIO, number: int) -> str:
        if number > self.parts:
            return ""
        file.seek((number - 1) * self.part)
        return hashlib.md5(file.read(self.part), usedforsecurity=False).hexdigest()

    def _create(self) -> str:
        attempts = 0

        def create() -> str:
            nonlocal attempts
            attempts += 1
            answer = self.connection.s3.create_multipart_upload(
                Bucket=self.address.bucket,
                Key=self.address.key,
                Metadata=self.metadata,
                ContentType=self.content_type,
            )
            if not answer.get("UploadId"):
                raise foreign(str(self.address), self.connection.endpoint, "a multipart upload without an id")
            return answer["UploadId"]

        upload = ""
        try:
            upload = self.connection.call("multipart.create", str(self.address), create)
        finally:
            if attempts > 1 or not upload:  # the answer with the id of an upload may be lost
                self._abort_others(upload)
        self.connection.faults.reach("obs.multipart.created")
        return upload

    def _abort_others(self, kept: str) -> None:
        for upload in self._unfinished():
            if upload.id != kept:
                abort(self.connection, self.address, upload.id)

    def _send_parts(self, upload: str, there: dict[int, str], file: BinaryIO, progress: OnBytes | None) -> list[str]:
        """Read the parts in order and send them in parallel; return their ETags in order."""
        digest = hashlib.sha256()
        tags: list[str] = []
        running: deque[tuple[Future[str], int]] = deque()
        file.seek(0)

        def collect() -> None:
            future, size = running.popleft()
            tags.append(future.result())
            self.connection.faults.reach("obs.multipart.part.sent")
            if progress is not None:
                progress(size)

        with pool_of(self.in_flight) as pool:
            for number in range(1, self.parts + 1):
                if len(running) >= self.in_flight:
                    collect()
                data = file.read(self.part)
                digest.update(data)
                running.append((pool.submit(self._send_part, upload, number, data, there.get(number)), len(data)))
            while running:
                collect()
        if file.read(1) or digest.hexdigest() != self.source.sha256:
            raise Corrupt(
                f"{self.source.path} has changed: it should have SHA-256 {self.source.sha256}",
                hint="run the stage that makes this file again; `atlasflow verify` finds other damage",
            )
        return tags

    def _send_part(self, upload: str, number: int, data: bytes, there: str | None) -> str:
        # The signature covers the SHA-256 of the part; a Content-MD5 would only cost time (obs.md §2.2).
        if there is not None and there == hashlib.md5(data, usedforsecurity=False).hexdigest():
            return there

        def upload_part() -> str:
            with _gone_as_error():
                answer = self.connection.s3.upload_part(
                    Bucket=self.address.bucket, Key=self.address.key, UploadId=upload, PartNumber=number, Body=data
                )
            if not answer.get("ETag"):
                raise foreign(str(self.address), self.connection.endpoint, "a part without an ETag")
            return answer["ETag"].strip('"')

        return self.connection.call("multipart.part", str(self.address), upload_part)

    def _complete(self, upload: str, tags: list[str]) -> None:
        listed: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": f'"{tag}"'} for number, tag in enumerate(tags, 1)
        ]
        address = self.address

        def complete() -> None:
            with _gone_as_error():  # also when the answer to an earlier attempt was lost
                self.connection.s3.complete_multipart_upload(
                    Bucket=address.bucket, Key=address.key, UploadId=upload, MultipartUpload={"Parts": listed}
                )

        self.connection.call("multipart.complete", str(address), complete)

    def _stored(self) -> bool:
        found = look(self.connection, self.address)
        return found is not None and found["ContentLength"] == self.source.size and found["Metadata"] == self.metadata
