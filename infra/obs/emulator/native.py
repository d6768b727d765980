"""Operations that only OBS has, or has in its own form, for the stand-in (docs/reference/obs.md §2.6): of buckets.

What the server behind does not keep of a bucket (default storage class, quota, policy) is in `bucket_facts`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import botocore.exceptions

from infra.obs.emulator import policies
from infra.obs.emulator.bucket_facts import Facts, FactsFile
from infra.obs.emulator.objects import Objects
from infra.obs.emulator.reply import Reply, xml
from infra.obs.emulator.rules import Answer, Request, target_of
from infra.obs.emulator.signature import OBS, Dialect
from infra.obs.emulator.translation import obs_class, server_class

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CLASSES = ("STANDARD", "WARM", "COLD", "DEEP_ARCHIVE")
_NAMESPACE = 'xmlns="http://obs.myhwclouds.com/doc/2015-06-30/"'


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
        self.objects = Objects(s3, self._facts)

    def operation(self, request: Request) -> Callable[[Dialect, bytes], Reply | Answer] | None:
        """Return what answers a request; None for one that the server behind answers."""
        bucket, key, _ = target_of(request, self._region)
        names = {name.lower() for name in request.query}
        if not bucket:
            return None
        if key:
            if request.method == "POST" and "append" in names:
                return lambda _dialect, body: self.objects.append(request, bucket, unquote(key), body)
            if request.method == "POST" and "restore" in names:
                return lambda _dialect, body: self.objects.restore(bucket, unquote(key), body)
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

    def _bucket_call(self, call: Call, bucket: str, dialect: Dialect, body: bytes) -> Reply | Answer:
        try:
            self._s3.head_bucket(Bucket=bucket)
        except botocore.exceptions.ClientError:
            return Answer(404, "NoSuchBucket", "The specified bucket does not exist.")
        return call(self, bucket, dialect, body)

    def location(self, _bucket: str, dialect: Dialect, _body: bytes) -> Reply:
        """The region of a bucket."""
        if dialect is OBS:
            return xml(f"<Location {_NAMESPACE}>{self._region}</Location>")
        return xml(
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
        return xml(
            f"<GetBucketStorageInfoResult {_NAMESPACE}><Size>{sum(total)}</Size>"
            f"<ObjectNumber>{len(total)}</ObjectNumber>{parts}</GetBucketStorageInfoResult>"
        )

    def quota(self, bucket: str, _dialect: Dialect, _body: bytes) -> Reply:
        """The quota, 0 for none."""
        return xml(f"<Quota {_NAMESPACE}><StorageQuota>{self._facts.of(bucket).quota}</StorageQuota></Quota>")

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
            return xml(f"<StorageClass {_NAMESPACE}>{name}</StorageClass>")
        return xml(f"<StoragePolicy><DefaultStorageClass>{server_class(name)}</DefaultStorageClass></StoragePolicy>")

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
        return xml(
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
        return xml(f"<PolicyStatus {_NAMESPACE}><IsPublic>{public}</IsPublic></PolicyStatus>")

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
