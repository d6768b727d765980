"""Operations on objects that only OBS has, or has in its own form: appending, and restoring from the archive."""

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import botocore.exceptions

from infra.obs.emulator.bucket_facts import FactsFile
from infra.obs.emulator.reply import Reply
from infra.obs.emulator.rules import Answer, Request
from infra.obs.emulator.translation import APPENDABLE, obs_class
from infra.obs.errors import code

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_FROZEN = ("COLD", "DEEP_ARCHIVE")
_MAX_DAYS = 30


class Objects:
    """Answers these operations.

    Args:
        s3: a client of the server behind.
        facts: what is known of buckets, such as their restored objects.
    """

    def __init__(self, s3: "S3Client", facts: FactsFile) -> None:
        self._s3 = s3
        self._facts = facts
        self._lock = threading.Lock()

    def is_restored(self, bucket: str, key: str) -> bool:
        """True when an archived object was restored, or can be read without that."""
        found = self._facts.of(bucket)
        return found.direct_read or key in found.restored

    def append(self, request: Request, bucket: str, key: str, body: bytes) -> Reply | Answer:
        """Append to an object, at the position that the query names: its length."""
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

    def restore(self, bucket: str, key: str, body: bytes) -> Reply | Answer:
        """Let an archived object be read; the stand-in needs no hours for it."""
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


def _metadata(request: Request) -> dict[str, str]:
    prefix = "x-obs-meta-"
    found = {name: value for name, value in request.headers.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in found.items()}
