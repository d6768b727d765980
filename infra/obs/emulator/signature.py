"""OBS's own signature and that of AWS version 2: the same HMAC-SHA1 with other words (docs/reference/obs.md §2.6)."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

from infra.obs.emulator.rules import SKEWED, Answer, Request, target_of

SKEW_SECONDS = 15 * 60
# The parameters of a query that are signed: sub-resources, and what changes the answer. They are those of
# `esdk-obs-python`; `huaweicloudsdkobs` leaves some out. Neither signs customdomain and mirrorBackToSource.
_WORKFLOW = (
    *("execution-state", "execution-type", "graph-name", "limit", "next-marker", "prefix", "start", "template-name"),
)
_SIGNED = frozenset(
    {
        "acl",
        "append",
        "backtosource",
        "bucketstatus",
        "cors",
        "delete",
        "deletebucket",
        "directcoldaccess",
        "dispolicy",
        "encryption",
        "fileinterface",
        "inventory",
        "length",
        "lifecycle",
        "location",
        "logging",
        "metadata",
        "modify",
        "name",
        "notification",
        "object-lock",
        "obsalias",
        "obsbucketalias",
        "obscompresspolicy",
        "obsworkflowtriggerpolicy",
        "partnumber",
        "policy",
        "policystatus",
        "position",
        "publicaccessblock",
        "quota",
        "rename",
        "replication",
        "requestpayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "retention",
        "storageclass",
        "storageinfo",
        "storagepolicy",
        "tagging",
        "torrent",
        "truncate",
        "uploadid",
        "uploads",
        "versionid",
        "versioning",
        "versions",
        "website",
        "x-image-process",
        "x-image-save-bucket",
        "x-image-save-object",
        "x-oss-process",
        *(f"x-workflow-{name}" for name in _WORKFLOW),
    }
)


@dataclass(frozen=True)
class Dialect:
    """The words of one of the two: how the signature is named, and how the headers begin."""

    name: str
    prefix: str
    key_parameter: str


OBS = Dialect("OBS", "x-obs-", "accesskeyid")
AWS = Dialect("AWS", "x-amz-", "awsaccesskeyid")


@dataclass(frozen=True)
class Signature:
    """A signature as it was received.

    Attributes:
        expires: of a link, in seconds since 1970; None for a signature in a header.
    """

    dialect: Dialect
    access_key: str
    value: str
    expires: str | None = None


def signature_of(request: Request) -> Signature | None:
    """Return the signature of a request; None when it has none, or one of version 4."""
    kind, _, rest = request.headers.get("authorization", "").partition(" ")
    for dialect in (OBS, AWS):
        if kind == dialect.name:
            access_key, _, value = rest.strip().rpartition(":")
            return Signature(dialect, access_key, value)
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(request.target).query)}
    for dialect in (OBS, AWS):
        if dialect.key_parameter in query and "signature" in query:
            return Signature(dialect, query[dialect.key_parameter], query["signature"], query.get("expires", ""))
    return None


def refusal(
    request: Request, signature: Signature, keys: Mapping[str, str], region: str, now: float | None = None
) -> Answer | None:
    """Verify a signature; return OBS's refusal, or None when it is right.

    Args:
        request: as received.
        signature: of the request.
        keys: access keys with their secret keys.
        region: the emulated region.
        now: seconds since 1970; None: the clock.
    """
    now = time.time() if now is None else now
    if signature.access_key not in keys:
        return Answer(403, "InvalidAccessKeyId", "The OBS Access Key Id you provided does not exist in our records.")
    if signature.expires is not None:
        if not signature.expires.isdigit():
            return Answer(403, "AccessDenied", "Query-string authentication requires Expires as seconds.")
        if int(signature.expires) < now:
            return Answer(403, "AccessDenied", "Request has expired.")
    elif abs(_date(request, signature.dialect) - now) > SKEW_SECONDS:
        return SKEWED
    text = string_to_sign(request, signature, region)
    expected = hmac.new(keys[signature.access_key].encode(), text.encode(), hashlib.sha1).digest()
    if not hmac.compare_digest(base64.b64encode(expected).decode(), signature.value):
        return Answer(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        )
    return None


def string_to_sign(request: Request, signature: Signature, region: str) -> str:
    """Return what is signed: method, three headers, the dialect's own headers, and the resource."""
    prefix, headers = signature.dialect.prefix, request.headers
    date = "" if f"{prefix}date" in headers else headers.get("date", "")
    lines = [
        request.method,
        headers.get("content-md5", ""),
        headers.get("content-type", ""),
        date if signature.expires is None else signature.expires,
        *(f"{name}:{headers[name].strip()}" for name in sorted(headers) if name.startswith(prefix)),
        _resource(request, prefix, region),
    ]
    return "\n".join(lines)


def _resource(request: Request, prefix: str, region: str) -> str:
    bucket, _, virtual = target_of(request, region)
    path = urlsplit(request.target).path
    signed = [
        (name, value)
        for name, value in parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
        if name.lower() in _SIGNED or name.lower().startswith(prefix)
    ]
    bare = {part for part in urlsplit(request.target).query.split("&") if "=" not in part}
    pairs = "&".join(name if name in bare else f"{name}={value}" for name, value in sorted(signed))
    return (f"/{bucket}" if virtual else "") + path + (f"?{pairs}" if pairs else "")


def _date(request: Request, dialect: Dialect) -> float:
    text = request.headers.get(f"{dialect.prefix}date") or request.headers.get("date", "")
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return 0.0
