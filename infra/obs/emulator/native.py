"""Operations that only OBS has, or has in its own form, for the stand-in (docs/reference/obs.md §2.6).

What the server behind does not keep of a bucket (default storage class, quota, policy) is in `bucket_facts`.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.sax.saxutils import escape

import botocore.exceptions

from infra.obs.emulator import policies
from infra.obs.emulator.bucket_facts import Facts, FactsFile
from infra.obs.emulator.rules import Answer, Request, target_of
from infra.obs.emulator.signature import OBS, Dialect
from infra.obs.emulator.translation import APPENDABLE, obs_class, server_class
from infra.obs.errors import code

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CLASSES = ("STANDARD", "WARM", "COLD", "DEEP_ARCHIVE")
_FROZEN = ("COLD", "DEEP_ARCHIVE")
_NAMESPACE = 'xmlns="http://obs.myhwclouds.com/doc/2015-06-30/"'
_MAX_DAYS = 30


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, dialect: Dialect) -> bytes:
        """Return it as bytes; the connection stays open."""
        kind = "application/json" if self.body[:1] == b"{" else "application/xml"
        lines = [
            f"HTTP/1.1 {self.status} OK",
            "Server: OBS-stand-in",
            f"{dialect.prefix}request-id: 0000000000000000STANDIN",
            *([f"Content-Type: {kind}"] if self.body else []),
            *(f"{name}: {value}" for name, value in self.headers.items()),
            *([] if self.status == 204 else [f"Content-Length: {len(self.body)}"]),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


Call = Callable[["Native", str, Dialect, bytes], Reply | Answer]
"""Answers a call on a bucket, from its name, the dialect and the body."""


class Native:
    """Answers these operations.

    Args:
        s3: a client of the server behind.
        region: the emulated region.
        path: of the file with the facts.
    """

    def __init__(self, s3: "S3Client", region: str, path: Path) -> None:
        self._s3 = s3
        self._region = region
        self._facts = FactsFile(path)
        self._lock = threading.Lock()

    def operation(self, request: Request) -> Callable[[Dialect, bytes], Reply | Answer] | None:
        """Return what answers a request; None for one that the server behind answers."""
        bucket, key, _ = target_of(request, self._region)
        names = {name.lower() for name in request.query}
        if not bucket:
            return None
        if key:
            if request.method == "POST" and "append" in names:
                return lambda _dialect, body: self._append(request, bucket, unquote(key), body)
            if request.method == "POST" and "restore" in names:
                return lambda _dialect, body: self._restore(bucket, unquote(key), body)
            return None
        for name in names & _BUCKET_CALLS.keys():
            call = _BUCKET_CALLS[name].get(request.method)
            if call is not None:
                return lambda dialect, body: self._bucket_call(call, bucket, dialect, body)
        return None

    def facts(self, bucket: str) -> Facts:
        """Return what is known of a bucket."""
        return self._facts.of(bucket)

    def forget(self, bucket: str) -> None:
        """Forget a bucket that was deleted."""
        self._facts.forget(bucket)

    def created(self, bucket: str, storage_class: str, zones: str) -> None:
        """Note default storage class and availability zones of a new bucket."""
        name = obs_class(storage_class) or "STANDARD"
        self._facts.change(bucket, lambda _old: Facts(storage_class=name, zones=zones))

    def is_restored(self, bucket: str, key: str) -> bool:
        """True when an archived object was restored, or can be read without that."""
        found = self._facts.of(bucket)
        return found.direct_read or key in found.restored

    def _bucket_call(self, call: Call, bucket: str, dialect: Dialect, body: bytes) -> Reply | Answer:
        try:
            self._s3.head_bucket(Bucket=bucket)
        except botocore.exceptions.ClientError:
            return Answer(404, "NoSuchBucket", "The specified bucket does not exist.")
        return call(self, bucket, dialect, body)

    def location(self, _bucket: str, dialect: Dialect, _body: bytes) -> Reply:
        """The region of a bucket."""
        if dialect is OBS:
            return _xml(f"<Location {_NAMESPACE}>{self._region}</Location>")
        return _xml(
            f"<CreateBucketConfiguration><LocationConstraint>{self._region}</LocationConstraint>"
            "</CreateBucketConfiguration>"
        )

    def storage_info(self, bucket: str, _dialect: Dialect, _body: bytes) -> Reply:
        """The bytes and the number of objects, in total and of each class."""
        sizes: dict[str, list[int]] = {name: [] for name in CLASSES}
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                sizes.setdefault(obs_class(item.get("StorageClass", "STANDARD")), []).append(item["Size"])
        words = {"STANDARD": "Standard", "WARM": "Warm", "COLD": "Cold", "DEEP_ARCHIVE": "DeepArchive"}
        parts = "".join(
            f"<{word}Size>{sum(sizes[name])}</{word}Size><{word}ObjectNumber>{len(sizes[name])}</{word}ObjectNumber>"
            for name, word in words.items()
        )
        total = [size for found in sizes.values() for size in found]
        return _xml(
            f"<GetBucketStorageInfoResult {_NAMESPACE}><Size>{sum(total)}</Size>"
            f"<ObjectNumber>{len(total)}</ObjectNumber>{parts}</GetBucketStorageInfoResult>"
        )

    def quota(self, bucket: str, _dialect: Dialect, _body: bytes) -> Reply:
        """The quota, 0 for none."""
        return _xml(f"<Quota {_NAMESPACE}><StorageQuota>{self._facts.of(bucket).quota}</StorageQuota></Quota>")

    def set_quota(self, bucket: str, _dialect: Dialect, body: bytes) -> Reply | Answer:
        """Set the quota; it is kept, and not enforced."""
        found = re.search(rb"<StorageQuota>(\d{1,19})</StorageQuota>", body)
        if found is None:
            return Answer(400, "MalformedXML", "The XML you provided was not well-formed.")
        quota = int(found[1])
        self._facts.change(bucket, lambda old: replace(old, quota=quota))
        return Reply(200)

    def storage_class(self, bucket: str, dialect: Dialect, _body: bytes) -> Reply:
        """The default storage class."""
        name = self._facts.of(bucket).storage_class
        if dialect is OBS:
            return _xml(f"<StorageClass {_NAMESPACE}>{name}</StorageClass>")
        return _xml(f"<StoragePolicy><DefaultStorageClass>{server_class(name)}</DefaultStorageClass></StoragePolicy>")

    def set_storage_class(self, bucket: str, _dialect: Dialect, body: bytes) -> Reply | Answer:
        """Set the default storage class."""
        found = re.search(rb"<(?:Default)?StorageClass[^>]*>([A-Z_]+)</", body)
        name = obs_class(found[1].decode()) if found else ""
        if name not in CLASSES:
            return Answer(400, "InvalidStorageClass", "The storage class you specified is not valid.")
        self._facts.change(bucket, lambda old: replace(old, storage_class=name))
        return Reply(200)

    def direct_read(self, bucket: str, _dialect: Dialect, _body: bytes) -> Reply:
        """Whether archived objects can be read directly."""
        status = "Enabled" if self.facts(bucket).direct_read else "Disabled"
        return _xml(
            f"<DirectColdAccessConfiguration {_NAMESPACE}><Status>{status}</Status></DirectColdAccessConfiguration>"
        )

    def set_direct_read(self, bucket: str, _dialect: Dialect, body: bytes) -> Reply | Answer:
        """Let archived objects be read directly, or not."""
        found = re.search(rb"<Status>(Enabled|Disabled)</Status>", body)
        if found is None:
            return Answer(400, "MalformedXML", "The XML you provided was not well-formed.")
        enabled = found[1] == b"Enabled"
        self._facts.change(bucket, lambda old: replace(old, direct_read=enabled))
        return Reply(200)

    def delete_direct_read(self, bucket: str, _dialect: Dialect, _body: bytes) -> Reply:
        """Let archived objects be read only after they were restored."""
        self._facts.change(bucket, lambda old: replace(old, direct_read=False))
        return Reply(204)

    def policy(self, bucket: str, _dialect: Dialect, _body: bytes) -> Reply | Answer:
        """The policy."""
        text = self._facts.of(bucket).policy
        if not text:
            return Answer(404, "NoSuchBucketPolicy", "The bucket policy does not exist.")
        return Reply(200, text.encode())

    def policy_status(self, bucket: str, _dialect: Dialect, _body: bytes) -> Reply | Answer:
        """Whether the policy lets everybody in."""
        text = self._facts.of(bucket).policy
        if not text:
            return Answer(404, "NoSuchBucketPolicy", "The bucket policy does not exist.")
        public = str(policies.is_public(text)).lower()
        return _xml(f"<PolicyStatus {_NAMESPACE}><IsPublic>{public}</IsPublic></PolicyStatus>")

    def set_policy(self, bucket: str, _dialect: Dialect, body: bytes) -> Reply | Answer:
        """Set the policy; it is kept, and not enforced."""
        wrong = policies.problem(body, bucket)
        if wrong:
            return Answer(400, "MalformedPolicy", wrong)
        self._facts.change(bucket, lambda old: replace(old, policy=body.decode()))
        return Reply(204)

    def delete_policy(self, bucket: str, _dialect: Dialect, _body: bytes) -> Reply:
        """Delete the policy."""
        self._facts.change(bucket, lambda old: replace(old, policy=""))
        return Reply(204)

    def _append(self, request: Request, bucket: str, key: str, body: bytes) -> Reply | Answer:
        position = (request.query.get("position") or [""])[0]
        if not position.isdigit():
            return Answer(400, "InvalidArgument", "position must be a whole number from 0.")
        with self._lock:
            try:
                found = self._s3.get_object(Bucket=bucket, Key=key)
            except botocore.exceptions.ClientError as error:
                if code(error) not in ("404", "NoSuchKey"):
                    return Answer(404, "NoSuchBucket", "The specified bucket does not exist.")
                found = None
            if found is not None and APPENDABLE not in found["Metadata"]:
                return Answer(409, "ObjectNotAppendable", "The object is not appendable.")
            before = b"" if found is None else found["Body"].read()
            if int(position) != len(before):
                return Answer(
                    409, "PositionNotEqualToLength", f"The position is not the object's length, {len(before)}."
                )
            metadata = _metadata(request) if found is None else found["Metadata"]
            kind = request.headers.get("content-type", "binary/octet-stream") if found is None else found["ContentType"]
            stored = self._s3.put_object(
                Bucket=bucket, Key=key, Body=before + body, Metadata={**metadata, APPENDABLE: "1"}, ContentType=kind
            )
        return Reply(200, headers={"ETag": stored["ETag"], "x-obs-next-append-position": str(len(before) + len(body))})

    def _restore(self, bucket: str, key: str, body: bytes) -> Reply | Answer:
        try:
            found = self._s3.head_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError:
            return Answer(404, "NoSuchKey", "The specified key does not exist.")
        if obs_class(str(found.get("StorageClass", "STANDARD"))) not in _FROZEN:
            return Answer(403, "InvalidObjectState", "Restore is not allowed: the object's storage class is not COLD.")
        days = re.search(rb"<Days>(\d+)</Days>", body)
        tier = re.search(rb"<Tier>([^<]*)</Tier>", body)
        if days is None or not 1 <= int(days[1]) <= _MAX_DAYS:
            return Answer(400, "InvalidArgument", f"Days must be between 1 and {_MAX_DAYS}.")
        if tier is not None and tier[1] not in (b"Expedited", b"Standard"):
            return Answer(400, "InvalidArgument", f"the tier {escape(tier[1].decode(errors='replace'))} is not valid.")
        if self.is_restored(bucket, key):
            return Reply(200)
        self._facts.change(bucket, lambda old: replace(old, restored=(*old.restored, key)))
        return Reply(202)


_BUCKET_CALLS: Mapping[str, Mapping[str, Call]] = {
    "location": {"GET": Native.location},
    "storageinfo": {"GET": Native.storage_info},
    "quota": {"GET": Native.quota, "PUT": Native.set_quota},
    "storageclass": {"GET": Native.storage_class, "PUT": Native.set_storage_class},
    "storagepolicy": {"GET": Native.storage_class, "PUT": Native.set_storage_class},
    "directcoldaccess": {
        "GET": Native.direct_read,
        "PUT": Native.set_direct_read,
        "DELETE": Native.delete_direct_read,
    },
    "policystatus": {"GET": Native.policy_status},
    "policy": {"GET": Native.policy, "PUT": Native.set_policy, "DELETE": Native.delete_policy},
}


def _xml(text: str) -> Reply:
    return Reply(200, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{text}'.encode())


def _metadata(request: Request) -> dict[str, str]:
    prefix = "x-obs-meta-"
    found = {name: value for name, value in request.headers.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in found.items()}
