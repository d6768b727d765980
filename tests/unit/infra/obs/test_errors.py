from typing import Any, cast

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import ProtocolError

from infra.errors import Refused, Transient, UserError
from infra.obs.errors import Denied, mapped


def raised(error: Any) -> Any:
    with pytest.raises(Exception) as caught, mapped("obs://b/k", "https://obs.test"):
        raise error
    return caught.value


def answer(code: Any, status: Any, message: str = "said so") -> Any:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": cast(Any, {"HTTPStatusCode": status, "RequestId": "R1"}),
        },
        "Op",
    )


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("SlowDown", 503, Transient),
        ("ServiceUnavailable", 503, Transient),
        ("InternalError", 0, Transient),  # of one key in a multi-delete
        ("ServiceUnavailable", 0, Transient),
        ("InternalError", 500, Transient),
        ("NobodyKnows", 502, Transient),
        ("RequestTimeout", 400, Transient),
        ("OperationAborted", 409, Transient),
        ("BadDigest", 400, Transient),
        ("NotImplemented", 501, Denied),
        ("InArrearOrInsufficientBalance", 403, Refused),
        ("AccountProblem", 403, Refused),
        ("InvalidAccessKeyId", 403, Refused),
        ("RequestTimeTooSkewed", 403, Refused),
        ("VirtualHostDomainRequired", 403, Refused),
        ("NobodyKnows", 400, Refused),
        ("403", 403, Denied),
        ("404", 404, Refused),
        ("302", 302, Transient),
        ("TemporaryRedirect", 307, Transient),
        ("NobodyKnows", 307, Transient),
        ("301", 301, UserError),
        ("412", 412, Transient),
        ("TooManyRequests", 429, Transient),
        ("KeyTooLong", 400, UserError),
        ("InvalidBucketName", 400, UserError),
    ],
)
def test_answers(code: str, status: int, error: Any) -> None:
    found = raised(answer(code, status))
    assert type(found) is error
    assert "obs://b/k at https://obs.test" in found.message
    assert "R1" in found.message
    assert found.hint


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        (ConnectTimeoutError(endpoint_url="x"), Transient),
        (ReadTimeoutError(endpoint_url="x"), Transient),
        (ProtocolError("cut"), Transient),
        (SSLError(endpoint_url="x", error=OSError("EOF occurred in violation of protocol")), Transient),
        (SSLError(endpoint_url="x", error=OSError("[SSL: CERTIFICATE_VERIFY_FAILED] no")), Refused),
        (NoCredentialsError(), UserError),
        (ParamValidationError(report="Bucket"), UserError),
    ],
)
def test_no_answer(problem: Any, error: Any) -> None:
    found = raised(problem)
    assert type(found) is error
    assert "obs://b/k at https://obs.test" in found.message


def test_what_the_server_says_of_keys_is_not_repeated() -> None:
    found = raised(answer("SignatureDoesNotMatch", 403, "StringToSign AKIDSECRET"))
    assert "AKIDSECRET" not in str(found)


def test_the_servers_words_are_shown_without_keys() -> None:
    found = raised(answer("AccessDenied", 403, "WORM\nprotected, asked by AKIDSECRET99"))
    assert "access denied: WORM protected, asked by …" in found.message


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", 0.0)])
def test_retry_after_is_read(header: str, seconds: float) -> None:
    error = answer("SlowDown", 503)
    error.response["ResponseMetadata"]["HTTPHeaders"] = {"retry-after": header}
    assert raised(error).after == seconds


def test_other_errors_pass() -> None:
    assert isinstance(raised(ZeroDivisionError()), ZeroDivisionError)
