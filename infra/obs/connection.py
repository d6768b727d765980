"""The place where a boto3 client is built and its requests are retried."""

import base64
import hashlib
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from infra.agency import fetch
from infra.errors import UserError
from infra.faults import FaultPlan
from infra.obs.errors import NoStore, mapped
from infra.obs.limits import LimitedSession
from infra.proxies import refuse_unusable
from infra.regions import region_of
from infra.retry import retry
from infra.settings import ObsSettings, RetrySettings

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from types_boto3_s3.client import S3Client

Result = TypeVar("Result")


@dataclass(frozen=True)
class Connection:
    """A boto3 client with what every request needs.

    Attributes:
        s3: the client; safe to use from several threads.
        endpoint: the server's address, for messages.
        threads: parallel transfers; the connection pool is as wide.
        retry: attempts and delays after a `Transient` error.
        faults: the fault plan.
    """

    s3: "S3Client"
    endpoint: str
    threads: int
    retry: RetrySettings
    faults: FaultPlan

    def call(self, point: str, address: str, action: Callable[[], Result]) -> Result:
        """Make one request that may be repeated, with retries after a `Transient` error.

        Args:
            point: the fault point `obs.{point}`.
            address: the object or bucket, for messages.
            action: makes the request and reads the whole answer.
        """

        def attempt() -> Result:
            self.faults.reach(f"obs.{point}")
            with mapped(address, self.endpoint):
                return action()

        return retry(attempt, self.retry)


def open_connection(settings: ObsSettings, faults: FaultPlan, retry: RetrySettings) -> Connection:
    """Build the boto3 client as OBS wants it (docs/reference/obs.md §2.1 to §2.3).

    Nothing of another tool's set-up reaches it: neither `~/.aws` nor `AWS_…` variables count.

    Raises:
        UserError: no keys, or an endpoint that cannot work.
    """
    _check_endpoint(settings)
    if not settings.proxy:
        refuse_unusable(settings.endpoint)
    access_key = settings.access_key.get_secret_value()
    secret_key = settings.secret_key.get_secret_value()
    if not settings.agency and (not access_key or not secret_key):
        raise UserError(
            f"there are no keys for {settings.endpoint}",
            hint="set ATLASFLOW_OBS__ACCESS_KEY and ATLASFLOW_OBS__SECRET_KEY, or put them into secret files; on a "
            "cloud server with an agency, set obs.agency=http://169.254.169.254",
        )
    # Only the core of boto3 is needed here; importing all of it takes 0.1 s more.
    import botocore.session  # noqa: PLC0415 - commands without object storage save it
    from botocore.config import Config  # noqa: PLC0415

    isolated = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
        "ca_bundle": (None, None, None, None),
    }
    core = botocore.session.Session(session_vars=isolated)
    if settings.agency:
        access_key = secret_key = ""
        _renew_by_agency(core, settings.agency)
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    client = core.create_client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=access_key or None,
        aws_secret_access_key=secret_key or None,
        aws_session_token=(settings.security_token.get_secret_value() or None) if access_key else None,
        verify=settings.ca or None,
        config=Config(
            signature_version="s3v4",
            # OBS refuses path style; boto3 falls back to it when the endpoint is an IP address.
            s3={"addressing_style": "virtual"},
            # Otherwise uploads over TLS become aws-chunked with a trailer, which OBS refuses.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=settings.threads,
            connect_timeout=10,
            read_timeout=60,
            tcp_keepalive=True,
            # `Connection.call` retries instead, by the class of the error.
            retries={"total_max_attempts": 1, "mode": "standard"},
            proxies=_proxies(settings),
        ),
    )
    client.meta.events.register("before-sign.s3.DeleteObjects", _add_content_md5)
    client.meta.events.register("before-parse.s3.DeleteObjects", _require_result)
    client.meta.events.register_last("before-parameter-build.s3", _follow_no_redirect)
    inner: Any = client  # the session of a client has no public name
    inner._endpoint.http_session = LimitedSession(inner._endpoint.http_session)
    return Connection(cast("S3Client", client), settings.endpoint, settings.threads, retry, faults)


def _renew_by_agency(core: Any, address: str) -> None:
    """Let the client take keys from a metadata service; it asks again some minutes before they end."""
    from botocore.credentials import RefreshableCredentials  # noqa: PLC0415 - as botocore itself

    def ask() -> dict[str, str]:
        keys = fetch(address)
        names = {"access_key": keys.access, "secret_key": keys.secret, "token": keys.token}
        return {**names, "expiry_time": keys.expires}

    core._credentials = RefreshableCredentials.create_from_metadata(ask(), refresh_using=ask, method="agency")


def _timestamp(text: str) -> datetime:
    """Parse a time from S3's XML or from a header; botocore's own parser takes half of the time of a long listing."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


def _add_content_md5(request: "AWSRequest", **_: object) -> None:
    """Add the Content-MD5 that OBS demands on a multi-delete; boto3 sends a CRC32 (docs/reference/obs.md §2.3)."""
    body = request.data if isinstance(request.data, bytes) else str(request.data).encode()
    for name in [name for name in request.headers if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-check"))]:
        del request.headers[name]
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def _require_result(response_dict: dict[str, Any], **_: object) -> None:
    """Refuse an answer to a multi-delete that is none: without errors it has no field that could be missing."""
    if response_dict["status_code"] == 200 and b"DeleteResult" not in response_dict["body"]:
        raise NoStore("a deletion without a result")


def _follow_no_redirect(context: dict[str, Any], **_: object) -> None:
    """Keep boto3 from looking a bucket's region up after a redirect: a server that redirects that, too, has no end."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _proxies(settings: ObsSettings) -> dict[str, str] | None:
    """Return the proxy of the settings; none for this machine itself; None for the proxy of the environment."""
    if settings.proxy:
        return {"http": settings.proxy, "https": settings.proxy}
    host = urlsplit(settings.endpoint).hostname or ""
    return {} if host == "localhost" or host.startswith("127.") else None


def _check_endpoint(settings: ObsSettings) -> None:
    hint = "write it as https://obs.cn-north-4.myhuaweicloud.com"
    parts = urlsplit(settings.endpoint)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(f"obs.endpoint '{settings.endpoint}' is not a valid URL", hint=hint)
    if parts.path not in ("", "/") or parts.query or parts.username:
        raise UserError("obs.endpoint must have only scheme, host and port", hint=hint)
    if host.startswith(f"{settings.bucket}."):
        raise UserError(f"obs.endpoint '{host}' already contains the bucket's name", hint=hint)
    if parts.scheme == "https" and "." in settings.bucket and not _is_ip(host):
        raise UserError(
            f"obs.bucket '{settings.bucket}' contains a dot, so no TLS certificate fits its host name",
            hint="choose a bucket without dots",
        )
    if settings.ca and not Path(settings.ca).is_file():
        raise UserError(f"obs.ca names '{settings.ca}', which is not a file", hint="give the path of a PEM file")
    region = region_of(settings.endpoint, "obs")
    if region and region != settings.region:
        raise UserError(
            f"obs.endpoint is in {region} but obs.region is {settings.region}", hint=f"set obs.region={region}"
        )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
