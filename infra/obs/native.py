"""Calls that only OBS has, with its own signature (docs/reference/obs.md §2.6)."""

import base64
import hashlib
import hmac
import re
from email.utils import formatdate
from urllib.parse import urlsplit

import botocore.exceptions
from botocore.awsrequest import AWSRequest

from infra.obs.connection import Connection
from infra.settings import ObsSettings

ZONES, MULTI = "x-obs-az-redundancy", "3az"
"""The header for a bucket in several availability zones, and its only value."""
_TYPE = "application/xml"


def put(connection: Connection, settings: ObsSettings, name: str, body: bytes) -> None:
    """Set a property of the bucket of the settings.

    Args:
        connection: to the object store.
        settings: bucket and keys.
        name: the sub-resource, such as `directcoldaccess`.
        body: its XML.

    Raises:
        Refused, Transient: the store's answer.
    """
    connection.call(f"bucket.{name}", f"obs://{settings.bucket}", lambda: _put(connection, settings, name, body))


def _put(connection: Connection, settings: ObsSettings, name: str, body: bytes) -> None:
    signed_link = connection.s3.generate_presigned_url("head_bucket", Params={"Bucket": settings.bucket})
    place = urlsplit(signed_link)  # boto3 knows whether the bucket is part of the host name
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers = {"Content-MD5": digest, "Content-Type": _TYPE, "Date": formatdate(usegmt=True)}
    if token := settings.security_token.get_secret_value():
        headers["x-obs-security-token"] = token
    own = "".join(f"{key}:{value}\n" for key, value in headers.items() if key.startswith("x-obs-"))
    text = f"PUT\n{digest}\n{_TYPE}\n{headers['Date']}\n{own}/{settings.bucket}/?{name}"
    key = settings.secret_key.get_secret_value().encode()
    signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()
    headers["Authorization"] = f"OBS {settings.access_key.get_secret_value()}:{signature}"
    address = f"{place.scheme}://{place.netloc}{place.path or '/'}?{name}"
    request = AWSRequest("PUT", address, headers=headers, data=body).prepare()
    answer = connection.s3._endpoint.http_session.send(request)  # type: ignore[attr-defined]  # it has no public name
    if answer.status_code < 300:
        return
    found = {tag: re.search(rb"<%b>([^<]*)</" % tag.encode(), answer.content) for tag in ("Code", "Message")}
    error = {tag: match[1].decode(errors="replace") for tag, match in found.items() if match}
    metadata = {"HTTPStatusCode": answer.status_code, "HTTPHeaders": dict(answer.headers)}
    raise botocore.exceptions.ClientError(
        {"Error": {"Code": str(answer.status_code), **error}, "ResponseMetadata": metadata},  # type: ignore[typeddict-item]
        f"Put {name}",
    )
