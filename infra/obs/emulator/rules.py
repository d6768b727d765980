"""Differences of OBS from the server behind the stand-in: refusals and responses, as pure functions.

Facts: docs/reference/obs.md §2.1 (addressing), obs.md §2.3 (checksums), obs.md §2.4 (operations, errors).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape


def domain(region: str) -> str:
    """Return OBS's host name in a region (docs/reference/obs.md §2.1)."""
    return f"obs.{region}.myhuaweicloud.com"


def ca_file(folder: Path, region: str) -> Path:
    """Return the path of the certificate of the stand-in's test CA."""
    return folder / f"{region}-ca.pem"


@dataclass(frozen=True)
class Request:
    """The head of a request.

    Attributes:
        method: such as `PUT`.
        target: path and query, as signed.
        headers: by lower-case name.
    """

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The parameters of the query."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


@dataclass(frozen=True)
class Answer:
    """An error response of OBS, from the middleware itself."""

    status: int
    code: str
    message: str
    extra: str = ""

    def encode(self, request: Request, prefix: str = "x-amz-") -> bytes:
        """Return the whole response, after which the connection closes; `prefix` is that of its own headers."""
        body = (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
            f"<Resource>{escape(urlsplit(request.target).path)}</Resource>{self.extra}"
            "<RequestId>0000000000000000STANDIN</RequestId><HostId>stand-in</HostId></Error>"
        ).encode()
        head = (
            f"HTTP/1.1 {self.status} {self.code}\r\nServer: OBS-stand-in\r\nContent-Type: application/xml\r\n"
            f"{prefix}request-id: 0000000000000000STANDIN\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if request.method == "HEAD" else body)


SLOW_DOWN = Answer(503, "SlowDown", "Please reduce your request rate.")
INTERNAL = Answer(500, "InternalError", "We encountered an internal error. Please try again.")
SKEWED = Answer(
    403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
)
ARCHIVED = Answer(403, "InvalidObjectState", "The operation is not valid for the object's storage class.")
_CLASSES = {
    "x-obs-storage-class": ("STANDARD", "WARM", "COLD", "DEEP_ARCHIVE", "INTELLIGENT_TIERING"),
    "x-amz-storage-class": ("STANDARD", "STANDARD_IA", "GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING"),
    "x-default-storage-class": ("STANDARD", "STANDARD_IA", "GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING"),
}
ZONES = "x-obs-az-redundancy"
_ZONES = ("3az",)
_ACLS = (
    *("private", "public-read", "public-read-write", "authenticated-read"),
    *("bucket-owner-read", "bucket-owner-full-control", "log-delivery-write"),
    *("public-read-delivered", "public-read-write-delivered"),
)
_MAX_METADATA = 2048  # bytes (obs.md §2.4)


def target_of(request: Request, region: str) -> tuple[str, str, bool]:
    """Return bucket, key, and whether the bucket's name was part of the host name."""
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    path = urlsplit(request.target).path.lstrip("/")
    for suffix in (domain(region), "localhost"):
        if host.endswith(f".{suffix}"):
            return host.removesuffix(f".{suffix}"), path, True
    bucket, _, key = path.partition("/")
    return bucket, key, False


def operation(request: Request, region: str) -> str:
    """Return the name of the operation, which is its fault point, such as `s3.put-object`."""
    bucket, key, _ = target_of(request, region)
    names = {
        "uploads": {"POST": "create-upload", "GET": "list-uploads"},
        "uploadId": {"PUT": "upload-part", "POST": "complete-upload", "DELETE": "abort-upload", "GET": "list-parts"},
        "delete": {"POST": "delete-objects"},
    }
    for parameter, by_method in names.items():
        if parameter in request.query:
            return f"s3.{by_method.get(request.method, 'other')}"
    if not bucket:
        return "s3.list-buckets"
    verb = {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}.get(request.method, "other")
    if key:
        return "s3.copy-object" if "x-amz-copy-source" in request.headers else f"s3.{verb}-object"
    if verb == "get":
        return "s3.list"
    if verb in ("put", "delete") and request.query:  # a property of the bucket, such as its policy
        return "s3.other"
    return f"s3.{ {'put': 'create'}.get(verb, verb) }-bucket"


def refusal(request: Request, region: str, *, path_style: bool, checksums: bool = False) -> Answer | None:
    """Return OBS's refusal of a request that other S3 servers accept; None when OBS accepts it.

    Args:
        request: its head.
        region: the emulated region.
        path_style: accept path style, as on an IP address.
        checksums: accept the checksum headers of newer S3 clients; whether OBS does is not documented
            (docs/reference/README.md).
    """
    bucket, key, virtual = target_of(request, region)
    # A HEAD of the bucket is reported to succeed where a PUT then fails (obs.md §2.1).
    if bucket and not virtual and not path_style and not (request.method == "HEAD" and not key):
        hint = f"<VirtualHost>{escape(bucket)}.{domain(region)}</VirtualHost>"
        return Answer(403, "VirtualHostDomainRequired", "Virtual host domain is required to access this bucket.", hint)
    payload = request.headers.get("x-amz-content-sha256", "")
    if "x-amz-trailer" in request.headers or payload.endswith("-TRAILER"):
        return Answer(501, "NotImplemented", "A header you provided implies functionality that is not implemented.")
    if "delete" in request.query and request.method == "POST" and "content-md5" not in request.headers:
        return Answer(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
    if not checksums and any(name.startswith("x-amz-checksum-") for name in request.headers):
        return Answer(501, "NotImplemented", "A header you provided implies functionality that is not implemented.")
    if "directcoldaccess" in request.query and request.method == "PUT" and "content-md5" not in request.headers:
        return Answer(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
    return (
        _metadata_refusal(request)
        or _header_refusal(request)
        or _encryption_refusal(request)
        or _scope_refusal(request, region)
    )


def default_class(request: Request) -> str:
    """Return the default storage class of a bucket to create; empty for OBS's default."""
    return request.headers.get("x-default-storage-class") or request.headers.get("x-obs-storage-class", "")


def _metadata_refusal(request: Request) -> Answer | None:
    """Return the refusal of user metadata that are too large, or of an unknown storage class."""
    prefixes = ("x-amz-meta-", "x-obs-meta-")
    own = {name[len(prefixes[0]) :]: value for name, value in request.headers.items() if name.startswith(prefixes)}
    if sum(len(name) + len(value) for name, value in own.items()) > _MAX_METADATA:
        return Answer(400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.")
    for name, allowed in _CLASSES.items():
        if request.headers.get(name, allowed[0]) not in allowed:
            return Answer(400, "InvalidStorageClass", "The storage class you specified is not valid.")
    return None


def _header_refusal(request: Request) -> Answer | None:
    """Return the refusal of an unknown canned ACL, or of an unknown redundancy."""
    for name, allowed in ((ZONES, _ZONES), ("x-amz-acl", _ACLS), ("x-obs-acl", _ACLS)):
        if request.headers.get(name, allowed[0]) not in allowed:
            return Answer(400, "InvalidArgument", f"The value of {name} is not valid.")
    return None


def _encryption_refusal(request: Request) -> Answer | None:
    """Return the refusal of SSE-S3, which OBS does not support (obs.md §2.4), and of any on this stand-in."""
    if any("server-side-encryption" in name for name in request.headers):
        return Answer(501, "NotImplemented", "Server-side encryption of this kind is not supported.")
    return None


def _scope_refusal(request: Request, region: str) -> Answer | None:
    """Return the refusal of a signature for another region, in a header or in a link."""
    credential = request.headers.get("authorization", "") or (request.query.get("X-Amz-Credential") or [""])[0]
    scope = re.search(r"(?:Credential=|^)[^/]+/\d{8}/([^/]+)/", credential)
    if scope and scope[1] != region:
        return Answer(403, "SignatureDoesNotMatch", "The request signature does not conform to the region.")
    return None


def location_refusal(body: bytes, region: str) -> Answer | None:
    """Return OBS's refusal to create a bucket in another region."""
    wanted = re.search(rb"<Location(?:Constraint)?>([^<]*)</", body)
    if wanted and wanted[1].decode() != region:
        return Answer(400, "IllegalLocationConstraintException", "The location constraint is not this region's.")
    return None


def altered(head: Sequence[bytes], status: bytes, length: int = 0) -> bytes:
    """Return a response head with another status line, for a body of `length` bytes."""
    kept = [line for line in head[1:] if not line.lower().startswith((b"content-length:", b"transfer-encoding:"))]
    return b"\r\n".join([b"HTTP/1.1 " + status, *kept, b"Content-Length: %d" % length, b"", b""])
