"""Create a bucket as the tutorials do, and prove that it is usable."""

import logging
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from infra.errors import Corrupt, Refused
from infra.obs import native
from infra.obs.address import ObjectAddress, join_key
from infra.obs.connection import Connection
from infra.obs.download import fetch
from infra.obs.errors import code
from infra.obs.listing import head
from infra.obs.sync import remove
from infra.obs.upload import send
from infra.ports.values import LocalFile
from infra.settings import ObsSettings

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)
_DIRECT_READ = b"<DirectColdAccessConfiguration><Status>Enabled</Status></DirectColdAccessConfiguration>"


@dataclass(frozen=True)
class BucketFacts:
    """Properties of a bucket that cannot be chosen again; empty where the server does not tell them."""

    region: str = ""
    storage_class: str = ""
    redundancy: str = ""


@dataclass(frozen=True)
class Access:
    """The result of a probe: its duration, and how far this machine's clock is ahead of the server's, in seconds."""

    seconds: float
    clock_ahead: float


def ensure(connection: Connection, settings: ObsSettings, location: str = "") -> bool:
    """Create the bucket of the settings when it is missing; True when it was created.

    The storage class is the default of the bucket's objects. Anybody on the internet may read a `public-read` bucket.

    Args:
        connection: to the object store.
        settings: name and properties of the bucket.
        location: its region; empty: that of the settings.
    """
    created = connection.call("bucket", f"obs://{settings.bucket}", lambda: _ensure(connection, settings, location))
    if not created:
        return False
    if settings.direct_read:
        native.put(connection, settings, "directcoldaccess", _DIRECT_READ)
    for warning in _warnings(settings):
        log.warning(warning)
    return True


def _warnings(settings: ObsSettings) -> Iterator[str]:
    """What a new bucket means for its owner."""
    name = settings.bucket
    if settings.acl == "public-read":
        yield (
            f"bucket {name} is public-read: anybody on the internet can read its objects, and you pay for the traffic"
        )
    if settings.acl == "public-read-write":
        yield f"bucket {name} is public-read-write: anybody on the internet can read, replace and delete its objects"
    if settings.storage_class == "GLACIER" and not settings.direct_read:
        yield f"objects of bucket {name} are archived: each must be restored before it can be read"


def facts(connection: Connection, bucket: str) -> BucketFacts:
    """Ask for the properties of a bucket; only OBS tells them."""
    answer = connection.call("head-bucket", f"obs://{bucket}", lambda: connection.s3.head_bucket(Bucket=bucket))
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    if "x-obs-version" not in headers:
        return BucketFacts()
    return BucketFacts(
        region=headers.get("x-amz-bucket-region", ""),
        storage_class=headers.get("x-default-storage-class", ""),
        redundancy="multi" if headers.get(native.ZONES) == native.MULTI else "single",
    )


def _ensure(connection: Connection, settings: ObsSettings, location: str) -> bool:
    s3, bucket = connection.s3, settings.bucket
    try:
        s3.head_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as error:
        if code(error) == "403":
            _raise_reason(s3, bucket)
            raise Refused(
                f"the bucket {bucket} at {connection.endpoint} belongs to somebody else, or this user has no access",
                hint="choose another obs.bucket or ask its owner for access; is this machine's clock right?",
            ) from error
        if code(error) not in ("404", "NoSuchBucket"):
            raise
    else:
        return False
    region = location or settings.region
    options: dict[str, Any] = {"ACL": settings.acl}
    if region != "us-east-1":  # the default region of S3 must not be named
        options["CreateBucketConfiguration"] = {"LocationConstraint": region}

    def with_own_headers(request: "AWSRequest", **_: object) -> None:
        request.headers["x-default-storage-class"] = settings.storage_class  # OBS's own headers (obs.md §2.4)
        if settings.redundancy == "multi":
            request.headers[native.ZONES] = native.MULTI

    event = "before-sign.s3.CreateBucket"
    s3.meta.events.register(event, with_own_headers)
    try:
        s3.create_bucket(Bucket=bucket, **options)
    except botocore.exceptions.ClientError as error:
        # OBS answers 200 to a repeated creation, others this (docs/reference/pitfalls.md §8.22).
        if code(error) != "BucketAlreadyOwnedByYou":
            raise
        return False
    finally:
        s3.meta.events.unregister(event, with_own_headers)
    return True


def _raise_reason(s3: "S3Client", bucket: str) -> None:
    """Ask by a GET why a HEAD was refused, whose answer has no body: a wrong secret is not a missing right."""
    try:
        s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except botocore.exceptions.ClientError as told:
        # Where there is no bucket, a HEAD is not refused for its sake.
        if code(told) not in ("403", "AccessDenied", "Forbidden", "NoSuchBucket"):
            raise


def prove_access(connection: Connection, bucket: str, prefix: str) -> Access:
    """Write, look up, read back and delete a probe object: a HEAD of the bucket alone proves nothing (obs.md §2.1).

    Raises:
        Refused, Transient: the store's answer to the first step that failed.
        Corrupt: it returned other bytes, or still has the probe.
    """
    address = ObjectAddress(bucket, join_key(prefix, f".probe-{secrets.token_hex(8)}")).checked()
    data = secrets.token_bytes(1024)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe"
        path.write_bytes(data)
        probe = LocalFile(path, sha256(data).hexdigest(), len(data))
        send(connection, address, probe)
        try:
            stored = head(connection, address)
            fetch(connection, address, path, probe.sha256)
        finally:
            remove(connection, bucket, [address.key])
        if stored is None or stored.sha256 != probe.sha256 or head(connection, address) is not None:
            raise Corrupt(
                f"{address} at {connection.endpoint}: the bytes read differ from the bytes written",
                hint="is there a caching proxy between this machine and the store?",
            )
    return Access(time.monotonic() - started, _clock_ahead(connection, bucket))


def _clock_ahead(connection: Connection, bucket: str) -> float:
    answer = connection.call("head-bucket", f"obs://{bucket}", lambda: connection.s3.head_bucket(Bucket=bucket))
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return 0.0 if date is None else (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
