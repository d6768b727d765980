"""Look objects up and list them."""

from typing import TYPE_CHECKING

import botocore.exceptions

from infra.obs.address import ObjectAddress
from infra.obs.connection import Connection
from infra.obs.errors import code, foreign
from infra.obs.pages import object_pages
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

    found = connection.call("head", str(address), ask)
    if found is not None and "ETag" not in found:
        raise foreign(str(address), connection.endpoint, "an object without an ETag")
    return found


def listing(connection: Connection, bucket: str, prefix: str) -> list[tuple[str, int, str]]:
    """List all objects under a prefix in byte order of their keys: key, size in bytes, ETag without quotes.

    Raises:
        Refused: the server does not return the whole listing.
        Transient: the answer is no listing.
    """

    def pages() -> list[tuple[str, int, str]]:
        found = object_pages(connection, bucket, prefix)
        return sorted((item["Key"], item["Size"], item.get("ETag", "").strip('"')) for item in found)

    return connection.call("list", f"obs://{bucket}/{prefix}", pages)
