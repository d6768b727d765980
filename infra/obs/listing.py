"""Look at what is in the store."""

from typing import TYPE_CHECKING

import botocore.exceptions

from infra.obs.connection import Connection
from infra.obs.errors import code
from infra.obs.keys import DIGEST, Place
from infra.ports.storage import StoredObject

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef


def head(connection: Connection, place: Place) -> StoredObject | None:
    """Look at one object; None when there is none (a missing bucket is an error)."""
    answer = look(connection, place)
    return None if answer is None else StoredObject(place.key, answer["ContentLength"], answer["Metadata"].get(DIGEST))


def look(connection: Connection, place: Place) -> "HeadObjectOutputTypeDef | None":
    """What the store says of an object: `ContentLength`, `ETag`, `Metadata` and more; None when there is none."""

    def ask() -> "HeadObjectOutputTypeDef | None":
        try:
            return connection.s3.head_object(Bucket=place.bucket, Key=place.key)
        except botocore.exceptions.ClientError as error:
            if code(error) not in ("404", "NoSuchKey"):
                raise
            connection.s3.list_objects_v2(Bucket=place.bucket, MaxKeys=1)  # says NoSuchBucket if that is the reason
            return None

    return connection.call("head", str(place), ask)


def listing(connection: Connection, bucket: str, prefix: str) -> list[tuple[str, int, str]]:
    """All objects under a prefix in byte order of their keys: key, size in bytes, ETag without quotes."""

    def pages() -> list[tuple[str, int, str]]:
        paginator = connection.s3.get_paginator("list_objects_v2")
        return sorted(
            (item["Key"], item["Size"], item["ETag"].strip('"'))
            for page in paginator.paginate(Bucket=bucket, Prefix=prefix)
            for item in page.get("Contents", [])
        )

    return connection.call("list", f"obs://{bucket}/{prefix}", pages)
