"""Multipart uploads: sized, parallel, resumed after a kill, never leaked."""

import hashlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

import botocore.exceptions

from infra.errors import AtlasFlowError, Corrupt, UserError
from infra.obs.connection import Connection
from infra.obs.keys import Place
from infra.obs.parallel import pool_of
from infra.obs.problems import code
from infra.ports import Bytes, LocalFile

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

MEBIBYTE = 1024 * 1024
PART = 8 * MEBIBYTE
MOST_PARTS = 10_000
LARGEST_PART = 5 * 1024 * MEBIBYTE
MEMORY = 48 * MEBIBYTE
"""Bytes of parts that are held at once, unless a single part is larger."""


def part_size(size: int) -> int:
    """Bytes a part, in whole MiB, so that 10,000 parts are never passed (ascend-domain.md §2.4).

    Raises:
        UserError: the file is larger than the 48.8 TB that an object may have.
    """
    needed = -(-size // MOST_PARTS)
    if needed > LARGEST_PART:
        raise UserError(f"{size} bytes are more than one object may have (48.8 TB)", hint="split the file")
    return max(PART, -(-needed // MEBIBYTE) * MEBIBYTE)


class Multipart:
    """Sends one large file. What a killed upload of the same file left behind is taken up again.

    An upload that fails is aborted; only one whose process is killed or interrupted stays, for the next to resume.
    """

    def __init__(
        self, connection: Connection, place: Place, source: LocalFile, metadata: Mapping[str, str], content_type: str
    ) -> None:
        self.connection = connection
        self.place = place
        self.source = source
        self.metadata = metadata
        self.content_type = content_type
        self.part = part_size(source.size)
        self.parts = -(-source.size // self.part)
        self.in_flight = max(1, min(connection.threads, MEMORY // self.part))

    def send(self, file: BinaryIO, progress: Bytes | None) -> None:
        """Send the file; it is there whole, with its digest, or not at all."""
        upload, there = self._resume(file)
        if upload is not None:
            self._finish(upload, there, file, progress)
            if self._stored():
                return
            # The unfinished upload was begun for other bytes with the same beginning: its metadata is theirs.
        self._finish(self._create(), {}, file, None if upload is not None else progress)
        if not self._stored():
            raise Corrupt(
                f"{self.place} is not what was sent there", hint="somebody else writes to this key; send again"
            )

    def _finish(self, upload: str, there: dict[int, str], file: BinaryIO, progress: Bytes | None) -> None:
        try:
            tags = self._send_parts(upload, there, file, progress)
            self.connection.faults.reach("obs.multipart.sent")
            self._complete(upload, tags)
        except Exception as error:
            try:
                abort(self.connection, self.place, upload)
            except AtlasFlowError as second:
                error.add_note(f"Its unfinished upload stays until the next one of this key: {second.message}")
            raise
        self.connection.faults.reach("obs.multipart.completed")

    def _resume(self, file: BinaryIO) -> tuple[str | None, dict[int, str]]:
        """The newest unfinished upload of this key whose parts are this file's; all others are aborted."""
        found: tuple[str | None, dict[int, str]] = (None, {})
        for key, upload, _ in reversed(unfinished(self.connection, self.place.bucket, self.place.key)):
            if key != self.place.key:
                continue
            there = self._parts(upload) if found[0] is None else {}
            if there and all(self._tag(file, number) == tag for number, tag in there.items()):
                found = (upload, there)
            else:
                abort(self.connection, self.place, upload)
        return found

    def _parts(self, upload: str) -> dict[int, str]:
        def pages() -> dict[int, str]:
            paginator = self.connection.s3.get_paginator("list_parts")
            found = paginator.paginate(Bucket=self.place.bucket, Key=self.place.key, UploadId=upload)
            return {part["PartNumber"]: part["ETag"].strip('"') for page in found for part in page.get("Parts", [])}

        return self.connection.call("multipart.parts", str(self.place), pages)

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
            return self.connection.s3.create_multipart_upload(
                Bucket=self.place.bucket,
                Key=self.place.key,
                Metadata=self.metadata,
                ContentType=self.content_type,
            )["UploadId"]

        upload = ""
        try:
            upload = self.connection.call("multipart.create", str(self.place), create)
        finally:
            if attempts > 1 or not upload:  # an answer may have been lost, and with it the id of an upload
                self._abort_others(upload)
        self.connection.faults.reach("obs.multipart.created")
        return upload

    def _abort_others(self, kept: str) -> None:
        for key, upload, _ in unfinished(self.connection, self.place.bucket, self.place.key):
            if key == self.place.key and upload != kept:
                abort(self.connection, self.place, upload)

    def _send_parts(self, upload: str, there: dict[int, str], file: BinaryIO, progress: Bytes | None) -> list[str]:
        """Read in order, send in parallel; returns the ETags in order."""
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
                hint="run the stage again that makes this file; `atlasflow verify` finds what else is damaged",
            )
        return tags

    def _send_part(self, upload: str, number: int, data: bytes, there: str | None) -> str:
        # The signature covers the SHA-256 of the part; a Content-MD5 as well would only cost time (§2.2).
        if there is not None and there == hashlib.md5(data, usedforsecurity=False).hexdigest():
            return there
        answer = self.connection.call(
            "multipart.part",
            str(self.place),
            lambda: self.connection.s3.upload_part(
                Bucket=self.place.bucket, Key=self.place.key, UploadId=upload, PartNumber=number, Body=data
            ),
        )
        return answer["ETag"].strip('"')

    def _complete(self, upload: str, tags: list[str]) -> None:
        listed: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": f'"{tag}"'} for number, tag in enumerate(tags, 1)
        ]
        place = self.place

        def complete() -> None:
            try:
                self.connection.s3.complete_multipart_upload(
                    Bucket=place.bucket, Key=place.key, UploadId=upload, MultipartUpload={"Parts": listed}
                )
            except botocore.exceptions.ClientError as error:
                # The answer to an earlier attempt was lost, or another process completed the same upload.
                if code(error) != "NoSuchUpload" or not self._stored():
                    raise

        self.connection.call("multipart.complete", str(place), complete)

    def _stored(self) -> bool:
        answer = self.connection.call(
            "head",
            str(self.place),
            lambda: self.connection.s3.head_object(Bucket=self.place.bucket, Key=self.place.key),
        )
        return answer["ContentLength"] == self.source.size and answer["Metadata"] == self.metadata


def unfinished(connection: Connection, bucket: str, prefix: str) -> list[tuple[str, str, datetime]]:
    """Unfinished multipart uploads under a prefix: key, upload id, when begun; oldest first."""

    def pages() -> list[tuple[str, str, datetime]]:
        paginator = connection.s3.get_paginator("list_multipart_uploads")
        found = [
            (upload["Key"], upload["UploadId"], upload["Initiated"])
            for page in paginator.paginate(Bucket=bucket, Prefix=prefix)
            for upload in page.get("Uploads", [])
        ]
        return sorted(found, key=lambda entry: entry[2])

    return connection.call("multipart.list", f"obs://{bucket}/{prefix}", pages)


def abort(connection: Connection, place: Place, upload: str) -> None:
    """End an unfinished upload; its parts cost nothing any more. One that has ended already is no error."""

    def end() -> None:
        try:
            connection.s3.abort_multipart_upload(Bucket=place.bucket, Key=place.key, UploadId=upload)
        except botocore.exceptions.ClientError as error:
            if code(error) != "NoSuchUpload":
                raise

    connection.call("multipart.abort", str(place), end)


def abort_older(connection: Connection, bucket: str, prefix: str, age: timedelta) -> list[str]:
    """Abort unfinished uploads under a prefix that were begun longer ago than `age`; returns their keys."""
    limit = datetime.now(UTC) - age
    old = [entry for entry in unfinished(connection, bucket, prefix) if entry[2] < limit]
    for key, upload, _ in old:
        abort(connection, Place(bucket, key), upload)
    return [key for key, _, _ in old]
