"""Signatures with HMAC-SHA1, against the examples that Amazon published for version 2, whose form OBS's own has."""

from email.utils import parsedate_to_datetime

import pytest

from infra.obs.emulator.rules import Request
from infra.obs.emulator.signature import AWS, OBS, refusal, signature_of, string_to_sign

KEYS = {"AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
REGION = "cn-north-4"
NOW = 1175024202.0  # Tue, 27 Mar 2007 19:36:42 +0000


def signed(method: str, target: str, value: str, **headers: str) -> Request:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    named |= {"host": "johnsmith.localhost", "authorization": f"AWS AKIAIOSFODNN7EXAMPLE:{value}"}
    return Request(method, target, named)


PUBLISHED = [
    signed("GET", "/photos/puppy.jpg", "bWq2s1WEIj+Ydj0vQ697zp+IXMU=", date="Tue, 27 Mar 2007 19:36:42 +0000"),
    signed(
        "PUT",
        "/photos/puppy.jpg",
        "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
        content_type="image/jpeg",
        date="Tue, 27 Mar 2007 21:15:45 +0000",
    ),
    signed(
        "GET",
        "/?prefix=photos&max-keys=50&marker=puppy",
        "htDYFYduRNen8P9ZfE/s9SuKy0U=",
        date="Tue, 27 Mar 2007 19:42:41 +0000",
    ),
    signed("GET", "/?acl", "c2WLPFtWHVgbEmeEG93a4cG37dM=", date="Tue, 27 Mar 2007 19:44:46 +0000"),
]


@pytest.mark.parametrize("request_", PUBLISHED, ids=lambda request: f"{request.method} {request.target}")
def test_the_published_signatures_are_right(request_: Request) -> None:
    found = signature_of(request_)
    assert found is not None
    assert found.dialect is AWS
    now = parsedate_to_datetime(request_.headers["date"]).timestamp()
    assert refusal(request_, found, KEYS, REGION, now) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"authorization": "AWS nobody:x"}, "InvalidAccessKeyId"),
        ({"authorization": "AWS AKIAIOSFODNN7EXAMPLE:x"}, "SignatureDoesNotMatch"),
        ({"content-type": "text/plain"}, "SignatureDoesNotMatch"),
        ({"x-amz-meta-a": "b"}, "SignatureDoesNotMatch"),
        ({"date": "Tue, 27 Mar 2007 20:36:42 +0000"}, "RequestTimeTooSkewed"),
        ({"date": ""}, "RequestTimeTooSkewed"),
    ],
)
def test_each_change_is_noticed(change: dict[str, str], code: str) -> None:
    request = Request("GET", PUBLISHED[0].target, {**PUBLISHED[0].headers, **change})
    found = signature_of(request)
    assert found is not None
    refused = refusal(request, found, KEYS, REGION, NOW)
    assert refused is not None
    assert refused.code == code


def test_obs_signs_its_own_headers_and_decoded_sub_resources() -> None:
    headers = {
        "host": f"b.obs.{REGION}.myhuaweicloud.com",
        "authorization": "OBS a:s",
        "date": "D",
        "x-obs-date": "E",
        "x-obs-meta-a": " v ",
    }
    request = Request("PUT", "/a%20b?position=3&append&prefix=x&response-content-type=a%2Fb", headers)
    found = signature_of(request)
    assert found is not None
    assert found.dialect is OBS
    assert string_to_sign(request, found, REGION) == (
        "PUT\n\n\n\nx-obs-date:E\nx-obs-meta-a:v\n/b/a%20b?append&position=3&response-content-type=a/b"
    )


@pytest.mark.parametrize("expires", ["1", "soon", ""])
def test_a_link_that_is_over_is_refused(expires: str) -> None:
    target = f"/k?AccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires={expires}&Signature=x"
    request = Request("GET", target, {"host": "b.localhost"})
    found = signature_of(request)
    assert found is not None
    refused = refusal(request, found, KEYS, REGION, NOW)
    assert refused is not None
    assert refused.code == "AccessDenied"


def test_version_4_and_no_signature_are_left_to_the_server() -> None:
    for headers in ({}, {"authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/r/s3/aws4_request"}):
        assert signature_of(Request("GET", "/", headers)) is None
