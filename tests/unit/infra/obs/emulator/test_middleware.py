"""The middleware is met as OBS is: its host names, TLS, a client that knows nothing of a stand-in."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.errors import Refused, Transient, UserError
from infra.obs.client import connect
from infra.obs.emulator import rules
from infra.settings import RetrySettings

RETRY = RetrySettings(attempts=3, seconds=0.01)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_everything_works_under_the_host_names_of_obs(obs: Any, local: Any, tmp_path: Path, scheme: str) -> None:
    client, middleware = obs(scheme=scheme)
    assert not client.ensure_bucket()
    for size in (0, 5, 20 * 1024 * 1024):
        file = local(os.urandom(size), f"{size}")
        assert client.sync("p", {"a b/ü": file}).bytes_sent == size
        assert client.get("p/a b/ü", tmp_path / "out") == file.sha256
    client.delete(key for key, _ in client.list(""))
    assert list(client.list("")) == []
    assert {"s3.put-object", "s3.upload-part", "s3.get-object", "s3.delete-objects"} <= set(middleware.faults.visits)
    assert client.link("p/x", 60).startswith(f"{scheme}://{client.bucket}.obs.cn-north-4.myhuaweicloud.com/p/x?")


def test_a_bucket_is_made_again_without_an_error_but_not_elsewhere(as_obs: Any) -> None:
    _, settings = as_obs()
    client = connect(settings, retry=RETRY)
    s3: Any = client._connection.s3
    where = {"LocationConstraint": "cn-north-4"}
    s3.create_bucket(Bucket=client.bucket, CreateBucketConfiguration=where)
    elsewhere = settings.model_copy(update={"bucket": "test-elsewhere", "region": "cn-south-1"})
    # the end point is still that of cn-north-4, which `connect` notices
    with pytest.raises(UserError, match=r"obs\.region is cn-south-1"):
        connect(elsewhere)
    with pytest.raises(s3.exceptions.ClientError, match="IllegalLocationConstraintException"):
        s3.create_bucket(Bucket="test-elsewhere", CreateBucketConfiguration={"LocationConstraint": "cn-south-1"})


def test_path_style_is_refused_unless_it_is_allowed(as_obs: Any, settings: Any) -> None:
    for path_style in (False, True):
        middleware, _ = as_obs(path_style=path_style)
        direct = settings.model_copy(update={"endpoint": f"http://127.0.0.1:{middleware.port}"})
        client = connect(direct, retry=RETRY)
        if path_style:
            assert list(client.list("")) == []
        else:
            with pytest.raises(Refused, match="must be part of the host name"):
                client.list("")
    answer = httpx.get(f"http://127.0.0.1:{as_obs()[0].port}/bucket/key")
    assert answer.status_code == 403
    assert f"<VirtualHost>bucket.{rules.domain('cn-north-4')}</VirtualHost>" in answer.text


@pytest.mark.parametrize("checksums", [False, True])
def test_checksums_are_refused_unless_they_are_taken(as_obs: Any, checksums: bool) -> None:
    _, settings = as_obs(checksums=checksums)
    client = connect(settings, retry=RETRY)
    s3: Any = client._connection.s3
    place = {"Bucket": client.bucket, "Key": "k"}
    if checksums:
        s3.put_object(**place, Body=b"x", ChecksumCRC32="jNwWgw==")
        assert s3.get_object(**place, ChecksumMode="ENABLED")["Body"].read() == b"x"
        return
    with pytest.raises(s3.exceptions.ClientError, match="NotImplemented"):
        s3.put_object(**place, Body=b"x", ChecksumCRC32="jNwWgw==")
    with pytest.raises(s3.exceptions.ClientError, match="NotImplemented"):
        s3.get_object(**place, ChecksumMode="ENABLED")


def test_another_certificate_authority_is_not_trusted(as_obs: Any) -> None:
    _, settings = as_obs()
    with pytest.raises(Refused, match="certificate is not trusted") as caught:
        connect(settings.model_copy(update={"ca": ""}), retry=RETRY).list("")
    assert "obs.ca" in str(caught.value)


def test_a_proxy_that_is_not_there_is_transient(settings: Any) -> None:
    gone = settings.model_copy(
        update={"endpoint": "https://obs.cn-north-4.myhuaweicloud.com", "proxy": "http://127.0.0.1:9"}
    )
    with pytest.raises(Transient, match=r"tried 3 times"):
        connect(gone, retry=RETRY).list("")


def test_operations_have_names() -> None:
    def name(method: Any, target: Any, **headers: Any) -> Any:
        return rules.operation(rules.Request(method, target, {"host": "b.localhost:1", **headers}), "cn-north-4")

    assert name("PUT", "/k") == "s3.put-object"
    assert name("PUT", "/k?partNumber=1&uploadId=x") == "s3.upload-part"
    assert name("PUT", "/") == "s3.create-bucket"
    assert name("GET", "/?list-type=2&prefix=") == "s3.list"
    assert name("GET", "/?uploads") == "s3.list-uploads"
    assert name("PUT", "/k", **{"x-amz-copy-source": "b/k"}) == "s3.copy-object"
    assert rules.operation(rules.Request("GET", "/", {"host": "127.0.0.1:1"}), "cn-north-4") == "s3.list-buckets"
