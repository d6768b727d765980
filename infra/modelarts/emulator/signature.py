"""Verify the signature `SDK-HMAC-SHA256` of a request (docs/reference/modelarts.md §1.5)."""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from infra.modelarts.emulator.errors import ApiError, ErrorCode

ALGORITHM = "SDK-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Access=(?P<access>[^,]+), SignedHeaders=(?P<headers>[^,]+), Signature=(?P<signature>[0-9a-f]{{64}})"
)
_DATE = "%Y%m%dT%H%M%SZ"


def check_signature(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secret_key: Callable[[str], str | None],
    clock: timedelta,
) -> None:
    """Check the signature of one request.

    Args:
        method: such as `GET`.
        target: path and query as received.
        headers: by lower-case name.
        body: as received.
        secret_key: looks up the secret key of an access key; None for an unknown access key.
        clock: allowed difference between the request's date and this clock.

    Raises:
        ApiError: the signature is missing or wrong, or the date is too far off.
    """
    authorization = headers.get("authorization")
    if authorization is None:
        raise ApiError(ErrorCode.NO_SIGNATURE, "the request has neither a token nor a signature")
    match = _AUTHORIZATION.fullmatch(authorization)
    if match is None:
        raise ApiError(ErrorCode.MALFORMED_SIGNATURE, f"the Authorization header does not have the form of {ALGORITHM}")
    names = match["headers"].split(";")
    if "host" not in names or "x-sdk-date" not in names or any(name not in headers for name in names):
        raise ApiError(
            ErrorCode.MALFORMED_SIGNATURE, "the signed headers must be present and include Host and X-Sdk-Date"
        )
    date = headers["x-sdk-date"]
    _check_date(date, clock)
    secret = secret_key(match["access"])
    if secret is None:
        raise ApiError(ErrorCode.WRONG_SIGNATURE, "the access key does not exist")
    request = _canonical_request(method, target, headers, names, body)
    text = f"{ALGORITHM}\n{date}\n{hashlib.sha256(request.encode()).hexdigest()}"
    expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, match["signature"]):
        raise ApiError(ErrorCode.WRONG_SIGNATURE, "the signature does not match the access key")


def _check_date(date: str, clock: timedelta) -> None:
    try:
        signed = datetime.strptime(date, _DATE).replace(tzinfo=UTC)
    except ValueError:
        raise ApiError(ErrorCode.MALFORMED_SIGNATURE, "X-Sdk-Date is not a date") from None
    if abs(datetime.now(UTC) - signed) > clock:
        raise ApiError(ErrorCode.EXPIRED, f"the request was signed at {date}, too far from the server's clock")


def _canonical_request(method: str, target: str, headers: Mapping[str, str], names: list[str], body: bytes) -> str:
    parts = urlsplit(target)
    path = "/".join(_encode(segment) for segment in unquote(parts.path).split("/"))
    pairs = sorted(parse_qsl(parts.query, keep_blank_values=True))
    payload = headers.get("x-sdk-content-sha256") if body else None
    return "\n".join(
        (
            method,
            path if path.endswith("/") else f"{path}/",
            "&".join(f"{_encode(name)}={_encode(value)}" for name, value in pairs),
            "".join(f"{name}:{headers[name].strip()}\n" for name in names),
            ";".join(names),
            payload or hashlib.sha256(body).hexdigest(),
        )
    )


def _encode(text: str) -> str:
    return quote(text, safe="~")
