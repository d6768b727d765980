"""Look objects up and list them."""

from typing import TYPE_CHECKING

import botocore.exceptions

from infra.obs.address import ObjectAddress
from infra.obs.connection import Connection
from infra.obs.errors import code
from infra.ports.storage import StoredObject

DIGEST = "sha256"
"""Name of our own metadata: the SHA-256 of the whole object, since an ETag is none.

Source: docs/reference/pitfalls.md §8.20.
"""

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef


def head(connection: Connection, address: ObjectAddress) -> StoredObject | None:
    """Look one object up; None when there is none (a missing bucket is an error)."""
    answer = look(connection, address)
    return (
        None if answer is None else StoredObject(address.key, answer["ContentLength"], answer["Metadata"].get(DIGEST))
    )


def look(connection: Connection, address: ObjectAddress) -> "HeadObjectOutputTypeDef | None":
    """Return `ContentLength`, `ETag`, `Metadata` and more of an object; None when there is none."""

    def ask() -> "HeadObjectOutputTypeDef | None":
        try:
            return connection.s3.head_object(Bucket=address.bucket, Key=address.key)
        except botocore.exceptions.ClientError as error:
            if code(error) not in ("404", "NoSuchKey"):
                raise
            connection.s3.list_objects_v2(Bucket=address.bucket, MaxKeys=1)  # raises NoSuchBucket if that is the reason
            return None

    return connection.call("head", str(address), ask)


def listing(connection: Connection, bucket: str, prefix: str) -> list[tuple[str, int, str]]:
    """List all objects under a prefix in byte order of their keys: key, size in bytes, ETag without quotes."""

    def pages() -> list[tuple[str, int, str]]:
        paginator = connection.s3.get_paginator("list_objects_v2")
        return sorted(
            (item["Key"], item["Size"], item["ETag"].strip('"'))
            for page in paginator.paginate(Bucket=bucket, Prefix=prefix)
            for item in page.get("Contents", [])
        )

    return connection.call("list", f"obs://{bucket}/{prefix}", pages)
