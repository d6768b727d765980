"""Find and abort unfinished multipart uploads."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.exceptions

from infra.obs.address import ObjectAddress
from infra.obs.connection import Connection
from infra.obs.errors import code
from infra.obs.pages import upload_pages


@dataclass(frozen=True)
class UnfinishedUpload:
    """A multipart upload that was neither completed nor aborted."""

    address: ObjectAddress
    id: str
    begun: datetime


@dataclass(frozen=True)
class _Listing:
    """Unfinished uploads, oldest first, and the server's time when it listed them."""

    uploads: list[UnfinishedUpload]
    time: datetime


def unfinished(connection: Connection, bucket: str, prefix: str) -> list[UnfinishedUpload]:
    """Return the unfinished multipart uploads under a prefix, oldest first."""
    return _list(connection, bucket, prefix).uploads


def abort(connection: Connection, address: ObjectAddress, upload: str) -> None:
    """Abort an unfinished upload, so that its parts are billed no longer. One that has ended is not an error."""

    def abort_upload() -> None:
        try:
            connection.s3.abort_multipart_upload(Bucket=address.bucket, Key=address.key, UploadId=upload)
        except botocore.exceptions.ClientError as error:
            if code(error) != "NoSuchUpload":
                raise

    connection.call("multipart.abort", str(address), abort_upload)


def abort_older(connection: Connection, bucket: str, prefix: str, age: timedelta) -> list[str]:
    """Abort the uploads under a prefix that are older than `age` by the server's clock; return their keys."""
    listing = _list(connection, bucket, prefix)
    old = [upload for upload in listing.uploads if upload.begun < listing.time - age]
    for upload in old:
        abort(connection, upload.address, upload.id)
    return [upload.address.key for upload in old]


def _list(connection: Connection, bucket: str, prefix: str) -> _Listing:
    def pages() -> _Listing:
        dates: list[str] = []

        def note_date(answer: Mapping[str, Any]) -> None:
            dates.append(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))

        found = [
            UnfinishedUpload(ObjectAddress(bucket, upload["Key"]), upload["UploadId"], upload["Initiated"])
            for upload in upload_pages(connection, bucket, prefix, note_date)
        ]
        # The header has whole seconds.
        time = parsedate_to_datetime(dates[-1]) + timedelta(seconds=1) if dates[-1] else datetime.now(UTC)
        return _Listing(sorted(found, key=lambda upload: upload.begun), time)

    return connection.call("multipart.list", f"obs://{bucket}/{prefix}", pages)
