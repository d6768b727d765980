"""From OBS's own form to that of the S3 server behind the stand-in, and back (docs/reference/obs.md §2.6)."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from infra.obs.emulator.rules import ZONES, Request
from infra.obs.emulator.signature import AWS, OBS, Dialect

APPENDABLE = "obs-append"
"""Metadata of the server behind: the object was made by appending."""
_CLASSES = {"WARM": "STANDARD_IA", "COLD": "GLACIER"}
_DROPPED = frozenset({"authorization", "date", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"})
_SIGNED = frozenset({"content-md5", "content-type", "host"})
_LINK_PARAMETERS = frozenset({"accesskeyid", "awsaccesskeyid", "signature", "expires", "x-obs-security-token"})


def server_class(name: str) -> str:
    """Return S3's name of a storage class of OBS."""
    return _CLASSES.get(name, name)


def obs_class(name: str) -> str:
    """Return OBS's name of a storage class of S3."""
    return {value: key for key, value in _CLASSES.items()}.get(name, name)


def to_server(request: Request, keys: Credentials, region: str, length: int | None = None) -> list[bytes]:
    """Return the head of the request for the server behind, signed with version 4.

    Args:
        request: verified.
        keys: of the server behind.
        region: the emulated region.
        length: of a body that was changed; None: as received.
    """
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        new = f"{AWS.prefix}{name.removeprefix(OBS.prefix)}" if name.startswith(OBS.prefix) else name
        if new not in _DROPPED:
            headers[new] = server_class(value) if new == "x-amz-storage-class" else value
    if length is not None:
        headers["content-length"] = str(length)
    query = [
        (name, value)
        for name, value in parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
        if name.lower() not in _LINK_PARAMETERS
    ]
    path = quote(unquote_to_bytes(urlsplit(request.target).path), safe="/~")
    target = path + ("?" + "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in query) if query else "")
    signed = {name: value for name, value in headers.items() if name in _SIGNED or name.startswith(AWS.prefix)}
    aws = AWSRequest(request.method, f"http://{headers['host']}{target}", headers=signed)
    aws.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    S3SigV4Auth(keys, "s3", region).add_auth(aws)
    final = {**headers, **{name.lower(): value for name, value in aws.headers.items()}}
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in final.items())]
    return [line.encode("latin-1") for line in lines]


def from_server(head: Sequence[bytes], dialect: Dialect) -> list[bytes]:
    """Return the head of an answer in OBS's words."""
    if dialect is not OBS:
        return list(head)
    found = [head[0]]
    for line in head[1:]:
        name, _, value = line.partition(b":")
        low = name.strip().lower()
        if low.startswith(AWS.prefix.encode()):
            low = OBS.prefix.encode() + low.removeprefix(AWS.prefix.encode())
        if low == b"x-obs-storage-class":
            value = b" " + obs_class(value.strip().decode("latin-1")).encode("latin-1")
        if low == f"{OBS.prefix}meta-{APPENDABLE}".encode():
            found += [b"x-obs-object-type: Appendable"]
        else:
            found.append(low + b":" + value)
    length = next((line.partition(b":")[2] for line in found if line.startswith(b"content-length:")), b" 0")
    if b"x-obs-object-type: Appendable" in found:
        found.append(b"x-obs-next-append-position:" + length)
    return found


def bucket_head(storage_class: str, zones: str, region: str, dialect: Dialect) -> list[bytes]:
    """Return the headers that describe a bucket, in the answer to its HEAD."""
    if dialect is OBS:
        own = {"x-obs-bucket-location": region, "x-obs-storage-class": storage_class}
    else:
        own = {"x-amz-bucket-region": region, "x-default-storage-class": server_class(storage_class)}
    own |= {"x-obs-version": "3.0", **({ZONES: zones} if zones else {})}
    return [f"{name}: {value}".encode() for name, value in own.items()]


def body_from_server(body: bytes, dialect: Dialect, region: str) -> bytes:
    """Return the XML of an answer in OBS's words."""
    if dialect is not OBS:
        return body
    body = re.sub(
        rb"<StorageClass>([^<]*)</StorageClass>",
        lambda found: b"<StorageClass>" + obs_class(found[1].decode()).encode() + b"</StorageClass>",
        body,
    )
    place = f"<Location>{escape(region)}</Location><BucketType>OBJECT</BucketType>".encode()
    return re.sub(rb"(<Bucket>.*?</CreationDate>)", lambda found: found[1] + place, body)


def bucket_body_to_server(body: bytes) -> bytes:
    """Return the body of a request that creates a bucket, with S3's element for the region."""
    place = re.search(rb"<Location(?:Constraint)?>([^<]*)</", body)
    if place is None:
        return body
    inner = b"<LocationConstraint>" + place[1] + b"</LocationConstraint>"
    return b"<CreateBucketConfiguration>" + inner + b"</CreateBucketConfiguration>"


def _quoted(text: str) -> str:
    return quote(text, safe="~")
