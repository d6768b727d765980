"""Map the errors of the object store and of the network to AtlasFlow's own (docs/reference/obs.md §2.4)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import botocore.exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.retry import wait_of


class NoBucket(Refused):
    """There is no such bucket."""


class NoStore(ResponseParserError):
    """An answer lacks what every object store answers to this request."""


class Denied(Refused):
    """The keys may not do this, or the server cannot; other operations may work."""


class _Meaning(NamedTuple):
    error: type[AtlasFlowError]
    what: str
    hint: str


_KEYS = "check ATLASFLOW_OBS__ACCESS_KEY and ATLASFLOW_OBS__SECRET_KEY"
_ACCOUNT = "look at the account's state and balance in the console"
_REGION = "take obs.endpoint and obs.region from the bucket's page in the console"
_LATER = "try again later"
_MEANINGS = {
    "InvalidAccessKeyId": _Meaning(Refused, "the access key is unknown", _KEYS),
    "SignatureDoesNotMatch": _Meaning(Refused, "the signature is wrong", f"{_KEYS}, and obs.region"),
    "TooManyWrongSignature": _Meaning(Refused, "too many wrong signatures", f"{_KEYS}, and wait a few minutes"),
    "ExpiredToken": _Meaning(Refused, "the temporary credentials have expired", "get new ones, with their token"),
    "InvalidToken": _Meaning(Refused, "the security token is not valid", "check ATLASFLOW_OBS__SECURITY_TOKEN"),
    "RequestTimeTooSkewed": _Meaning(Refused, "this machine's clock is wrong", "set the clock, for example with NTP"),
    "AccessDenied": _Meaning(
        Denied, "access denied", "grant the user object access to this bucket, or check the bucket's policy"
    ),
    "Forbidden": _Meaning(
        Denied,
        "access denied",
        "the store gave no reason: check the keys, the user's rights on this bucket, and this machine's clock",
    ),
    "AccountProblem": _Meaning(Refused, "there is a problem with the account", _ACCOUNT),
    "InArrearOrInsufficientBalance": _Meaning(Refused, "the account is in arrears", _ACCOUNT),
    "VirtualHostDomainRequired": _Meaning(
        Refused,
        "the bucket's name must be part of the host name",
        "give obs.endpoint as a domain name, not as an IP address",
    ),
    "NoSuchBucket": _Meaning(NoBucket, "there is no such bucket", "check obs.bucket, or let `upload` create it"),
    "NoSuchKey": _Meaning(Refused, "there is no such object", "check the key; `upload` or `publish` creates it"),
    "NoSuchUpload": _Meaning(Transient, "the multipart upload is gone; another program ended it", _LATER),
    "InvalidObjectState": _Meaning(Refused, "the object is archived", "restore it in the console first"),
    "BucketAlreadyExists": _Meaning(Refused, "the bucket's name belongs to somebody else", "choose another obs.bucket"),
    "BucketNotEmpty": _Meaning(Refused, "the bucket is not empty", "delete its objects first"),
    "TooManyBuckets": _Meaning(Refused, "the account has as many buckets as it may", "delete one, or use one of them"),
    "InvalidBucketName": _Meaning(UserError, "the bucket's name is not allowed", "check obs.bucket"),
    "InvalidLocationConstraint": _Meaning(UserError, "the region is not the endpoint's", _REGION),
    "IllegalLocationConstraintException": _Meaning(UserError, "the region is not the endpoint's", _REGION),
    "AuthorizationHeaderMalformed": _Meaning(UserError, "the region is not the endpoint's", _REGION),
    "PermanentRedirect": _Meaning(UserError, "the bucket is in another region", _REGION),
    # While the name of a new bucket spreads (obs.md §2.1); a login page of a proxy answers so, too.
    "TemporaryRedirect": _Meaning(Transient, "the server redirects to another address", f"{_LATER}; or {_REGION}"),
    "KeyTooLong": _Meaning(UserError, "the key is longer than 1,024 bytes", "shorten obs.prefix or the file's name"),
    "KeyTooLongError": _Meaning(UserError, "the key is longer than 1,024 bytes", "shorten obs.prefix or the name"),
    "BadDigest": _Meaning(Transient, "the bytes were altered in transit", _LATER),
    "XAmzContentSHA256Mismatch": _Meaning(Transient, "the bytes were altered in transit", _LATER),
    "IncompleteBody": _Meaning(Transient, "not all bytes arrived", _LATER),
    "RequestTimeout": _Meaning(Transient, "the bytes arrived too slowly", _LATER),
    "OperationAborted": _Meaning(Transient, "another operation is changing the same object", _LATER),
    "PreconditionFailed": _Meaning(Transient, "the object changed while it was read", _LATER),
    "NotImplemented": _Meaning(Denied, "the server does not support this", "use another server, or another feature"),
    "MethodNotAllowed": _Meaning(Denied, "the server does not support this", "use another server, or another feature"),
    "InternalError": _Meaning(Transient, "the server failed", _LATER),
    "ServiceUnavailable": _Meaning(Transient, "the server is overloaded", "try again later, or lower obs.threads"),
    "SlowDown": _Meaning(Transient, "too many requests", "try again later, or lower obs.threads"),
}
# The answer to a HEAD has no body, so only its status says what is wrong.
_BY_STATUS = {
    "301": "PermanentRedirect",
    "302": "TemporaryRedirect",
    "303": "TemporaryRedirect",
    "307": "TemporaryRedirect",
    "308": "PermanentRedirect",
    "403": "Forbidden",
    "404": "NoSuchKey",
    "408": "RequestTimeout",
    "412": "PreconditionFailed",
    "429": "SlowDown",
}
_TELLING = (301, 302, 303, 307, 308, 408, 429)
"""Statuses that say what is wrong, whatever the code beside them is."""
_SECRET_LIKE = re.compile(r"\b[A-Z0-9]{10,}\b|[A-Za-z0-9+/=]{40,}")
_MAX_WORDS = 500


def code(error: boto.ClientError) -> str:
    """Return the server's error code, or the status when the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def foreign(address: str, endpoint: str, what: str) -> Transient:
    """Return the error for an answer that is not the object store's, though its status says that all is well.

    Args:
        address: the object or bucket that the request is about.
        endpoint: where it is.
        what: is missing in the answer, or wrong.
    """
    return Transient(
        f"{address} at {endpoint}: what answers is no object store: {what}",
        hint="is there a proxy or a login page between this machine and the store? check obs.endpoint",
    )


@contextmanager
def mapped(address: str, endpoint: str) -> Iterator[None]:
    """Turn the errors of boto3 and urllib3 inside the block into leaves of `AtlasFlowError`.

    Args:
        address: the object or bucket that the request is about, such as `obs://bucket/key`.
        endpoint: where it is.
    """
    try:
        yield
    except boto.ClientError as error:
        raise _answered(error, address, endpoint) from error
    except NoStore as error:
        raise foreign(address, endpoint, str(error)) from error
    except ResponseParserError as error:
        raise foreign(address, endpoint, "an answer that is not XML, or that was cut off") from error
    except (boto.BotoCoreError, HTTPError) as error:
        raise _unanswered(error, address, endpoint) from error


def _answered(error: boto.ClientError, address: str, endpoint: str) -> AtlasFlowError:
    metadata = error.response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    name = code(error)
    name = _BY_STATUS.get(name, name)
    request = f" [{name}, request {metadata['RequestId']}]" if metadata.get("RequestId") else f" [{name}]"
    where, words = f"{address} at {endpoint}", _words(error)
    known = _MEANINGS.get(name) or _MEANINGS.get(_BY_STATUS.get(str(status), "") if status in _TELLING else "")
    if known is not None:
        found = known.error(f"{where}: {known.what}{f': {words}' if words else ''}{request}", hint=known.hint)
    elif status >= 500 and status != 501:
        found = Transient(f"{where}: the server failed: {words or f'status {status}'}{request}", hint=_LATER)
    else:
        hint = "look the code up in the object store's documentation"
        found = Refused(f"{where}: {words or f'status {status}'}{request}", hint=hint)
    if isinstance(found, Transient):
        found.after = wait_of(metadata.get("HTTPHeaders", {}).get("retry-after"))
    return found


def _words(error: boto.ClientError) -> str:
    """Return what the server says, on one line, without what looks like a key or a signature."""
    said = " ".join(str(error.response.get("Error", {}).get("Message") or "").split())
    return _SECRET_LIKE.sub("…", said)[:_MAX_WORDS]


def _unanswered(error: Exception, address: str, endpoint: str) -> AtlasFlowError:
    where = f"{address} at {endpoint}"
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Refused(
            f"{where}: the server's certificate is not trusted", hint="check obs.endpoint; name your own CA in obs.ca"
        )
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return UserError(f"{where}: there are no credentials", hint=_KEYS)
    if isinstance(error, boto.ParamValidationError | boto.InvalidProxiesConfigError):
        return UserError(f"{where}: {error}")
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError | HTTPError):
        reason = type(error).__name__.removesuffix("Error")
        return Transient(
            f"{where}: incomplete answer ({reason})",
            hint="check the network and obs.endpoint; `atlasflow doctor` probes",
        )
    return Refused(f"{where}: {error}")
