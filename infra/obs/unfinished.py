"""Unfinished multipart uploads: found, and ended."""

from datetime import UTC, datetime, timedelta

import botocore.exceptions

from infra.obs.address import ObjectAddress
from infra.obs.connection import Connection
from infra.obs.errors import code


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


def abort(connection: Connection, address: ObjectAddress, upload: str) -> None:
    """End an unfinished upload; its parts cost nothing any more. One that has ended already is no error."""

    def end() -> None:
        try:
            connection.s3.abort_multipart_upload(Bucket=address.bucket, Key=address.key, UploadId=upload)
        except botocore.exceptions.ClientError as error:
            if code(error) != "NoSuchUpload":
                raise

    connection.call("multipart.abort", str(address), end)


def abort_older(connection: Connection, bucket: str, prefix: str, age: timedelta) -> list[str]:
    """Abort unfinished uploads under a prefix that were begun longer ago than `age`; returns their keys."""
    limit = datetime.now(UTC) - age
    old = [entry for entry in unfinished(connection, bucket, prefix) if entry[2] < limit]
    for key, upload, _ in old:
        abort(connection, ObjectAddress(bucket, key), upload)
    return [key for key, _, _ in old]
