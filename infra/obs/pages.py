"""Read listings page by page; a part is never taken for the whole.

Some servers ignore `list-type=2` (docs/reference/obs.md §2.1): they answer in the form of the first version, without a
continuation token. Others leave out markers that are optional.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from infra.errors import Refused
from infra.obs.connection import Connection
from infra.obs.errors import foreign

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import MultipartUploadTypeDef, ObjectTypeDef, PartTypeDef

Item = TypeVar("Item")


def object_pages(connection: Connection, bucket: str, prefix: str) -> "list[ObjectTypeDef]":
    """Return all objects under a prefix, in the server's order.

    Raises:
        Transient: an answer is no listing.
        Refused: the server says that there is more, and returns it neither by token nor by marker.
    """
    s3, where = connection.s3, f"obs://{bucket}/{prefix}"
    found: dict[str, ObjectTypeDef] = {}
    tokens: set[str] = set()
    answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    while _add(found, answer, answer.get("Contents", []), _key, where, connection):
        token = answer.get("NextContinuationToken")
        if not token or token in tokens:
            return _by_marker(connection, bucket, prefix, found)
        tokens.add(token)
        answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, ContinuationToken=token)
        page = answer.get("Contents", [])
        if page and all(item["Key"] in found for item in page):  # the token was ignored
            return _by_marker(connection, bucket, prefix, found)
    return list(found.values())


def holds_objects(connection: Connection, bucket: str, prefix: str) -> bool:
    """True when there is an object under the prefix.

    Raises:
        Transient: the answer is no listing.
    """
    answer = connection.s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    _truncated(answer, f"obs://{bucket}/{prefix}", connection)
    return bool(answer.get("Contents"))


def upload_pages(
    connection: Connection, bucket: str, prefix: str, on_page: Callable[[Mapping[str, Any]], None]
) -> "list[MultipartUploadTypeDef]":
    """Return all unfinished uploads under a prefix; `on_page` receives each answer.

    Raises:
        Transient, Refused: as for `object_pages`.
    """
    where = f"obs://{bucket}/{prefix}"
    found: dict[tuple[str, str], MultipartUploadTypeDef] = {}
    answer = connection.s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
    while True:
        on_page(answer)
        before, page = len(found), answer.get("Uploads", [])
        if not _add(found, answer, page, lambda item: (item["Key"], item["UploadId"]), where, connection):
            return list(found.values())
        _check_progress(len(found) - before, where, connection)
        answer = connection.s3.list_multipart_uploads(
            Bucket=bucket,
            Prefix=prefix,
            KeyMarker=answer.get("NextKeyMarker") or page[-1]["Key"],
            UploadIdMarker=answer.get("NextUploadIdMarker") or page[-1]["UploadId"],
        )


def part_pages(connection: Connection, bucket: str, key: str, upload: str) -> "list[PartTypeDef]":
    """Return all parts of an unfinished upload.

    Raises:
        Transient, Refused: as for `object_pages`.
    """
    where = f"obs://{bucket}/{key}"
    found: dict[int, PartTypeDef] = {}
    answer = connection.s3.list_parts(Bucket=bucket, Key=key, UploadId=upload)
    while True:
        before, page = len(found), answer.get("Parts", [])
        if not _add(found, answer, page, lambda item: item["PartNumber"], where, connection):
            return list(found.values())
        _check_progress(len(found) - before, where, connection)
        answer = connection.s3.list_parts(
            Bucket=bucket, Key=key, UploadId=upload, PartNumberMarker=page[-1]["PartNumber"]
        )


def _by_marker(
    connection: Connection, bucket: str, prefix: str, found: "dict[str, ObjectTypeDef]"
) -> "list[ObjectTypeDef]":
    """Read the rest of a listing, from the last key that was found on."""
    where, more = f"obs://{bucket}/{prefix}", True
    while more:
        before = len(found)
        _check_progress(before, where, connection)
        answer = connection.s3.list_objects(Bucket=bucket, Prefix=prefix, Marker=next(reversed(found)))
        more = _add(found, answer, answer.get("Contents", []), _key, where, connection)
        if more or answer.get("Contents"):
            _check_progress(len(found) - before, where, connection)
    return list(found.values())


def _key(item: "ObjectTypeDef") -> str:
    return item["Key"]


Key = TypeVar("Key")


def _add(
    found: dict[Key, Item],
    answer: Mapping[str, Any],
    page: Sequence[Item],
    identity: Callable[[Item], Key],
    where: str,
    connection: Connection,
) -> bool:
    """Add a page; True when there are more."""
    more = _truncated(answer, where, connection)
    found.update((identity(item), item) for item in page)
    return more


def _truncated(answer: Mapping[str, Any], where: str, connection: Connection) -> bool:
    truncated = answer.get("IsTruncated")
    if not isinstance(truncated, bool):
        raise foreign(where, connection.endpoint, "a listing without IsTruncated")
    return truncated


def _check_progress(new: int, where: str, connection: Connection) -> None:
    if not new:
        raise Refused(
            f"{where} at {connection.endpoint}: the listing is not complete: the server says that there is more, but "
            "does not return it",
            hint="nothing is decided by a part of a listing; ask the server's operator whether it supports markers",
        )
