"""Each setting of the client is needed: without it an operation fails against a server that behaves as OBS."""

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import botocore.config
import pytest
from pydantic import SecretStr

from infra.errors import Refused, Transient, UserError
from infra.faults import FaultPlan
from infra.obs import connection
from infra.obs.client import connect
from infra.settings import ObsSettings, RetrySettings

RETRY = RetrySettings(attempts=3, seconds=0.01)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Build clients with one of the settings taken away or replaced."""

    def change(**changes: Any) -> None:
        original = botocore.config.Config

        def config(**options: Any) -> Any:
            options.update(changes)
            return original(**{name: value for name, value in options.items() if value is not None})

        monkeypatch.setattr(botocore.config, "Config", config)

    return change


@pytest.fixture
def file(local: Any) -> Any:
    return local(os.urandom(1000))


def test_with_all_settings_everything_works(obs: Any, file: Any, tmp_path: Path) -> None:
    client, _ = obs()
    client.put("k", file)
    assert client.get("k", tmp_path / "out") == file.sha256
    client.delete(["k"])


def test_without_virtual_hosts_a_put_is_refused(obs: Any, file: Any, without: Any) -> None:
    without(s3=None)
    client, _ = obs()
    with pytest.raises(Refused, match="must be part of the host name"):
        client.put("k", file)


def test_without_when_required_uploads_are_refused(obs: Any, file: Any, without: Any) -> None:
    without(request_checksum_calculation="when_supported")
    client, _ = obs()
    with pytest.raises(Refused, match="NotImplemented"):
        client.put("k", file)


def test_without_when_required_downloads_are_refused(
    obs: Any, client: Any, file: Any, without: Any, tmp_path: Path
) -> None:
    client.put("k", file)
    without(response_checksum_validation="when_supported")
    through, _ = obs()
    with pytest.raises(Refused, match="NotImplemented"):
        through.get("k", tmp_path / "out")


def test_without_content_md5_a_multi_delete_is_refused(obs: Any, file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_add_content_md5", lambda request, **_: None)
    client, _ = obs()
    client.put("k", file)
    with pytest.raises(Refused, match="Content-MD5"):
        client.delete(["k"])


def test_the_region_is_part_of_the_signature(as_obs: Any, file: Any) -> None:
    _, settings = as_obs(path_style=True)
    wrong = settings.model_copy(update={"endpoint": settings.proxy, "proxy": "", "region": "cn-south-1"})
    with pytest.raises(Refused, match="signature is wrong"):
        connect(wrong, retry=RETRY).put("k", file)


def test_with_signatures_of_version_2_a_put_is_refused(obs: Any, file: Any, without: Any) -> None:
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in obs()[0].link("k", 60)
    without(signature_version="s3")
    client, _ = obs()
    assert "X-Amz-Algorithm" not in client.link("k", 60)
    with pytest.raises(Refused, match="signature is wrong"):
        client.put("k", file)


def test_a_security_token_travels_with_every_request(settings: Any, file: Any) -> None:
    sent = []
    client = connect(settings.model_copy(update={"security_token": SecretStr("temporary")}), retry=RETRY)
    client._connection.s3.meta.events.register("before-send.s3", lambda request, **_: sent.append(request.headers))
    with contextlib.suppress(Refused):  # the embedded server knows no temporary credentials
        client.put("k", file)
    assert [headers["X-Amz-Security-Token"] for headers in sent] == [b"temporary"]
    assert b"x-amz-security-token" in sent[0]["Authorization"]


def test_a_pool_narrower_than_the_threads_throws_connections_away(
    settings: Any, local: Any, without: Any, caplog: pytest.LogCaptureFixture
) -> None:
    files = {f"{number}": local(b"%d" % number, f"{number}") for number in range(40)}
    caplog.set_level(logging.WARNING, logger="urllib3")
    connect(settings, retry=RETRY).sync("a", files)
    assert "pool is full" not in caplog.text
    without(max_pool_connections=1)
    connect(settings, retry=RETRY).sync("b", files)
    assert "pool is full" in caplog.text


def test_without_retries_an_overloaded_server_ends_the_upload(obs: Any, file: Any, as_obs: Any) -> None:
    client, middleware = obs("slow-down@s3.put-object,internal@s3.put-object#2")
    client.put("k", file)
    assert middleware.faults.visits["s3.put-object"] == 3
    _, settings = as_obs("slow-down@s3.put-object")
    with pytest.raises(Transient, match="too many requests"):
        connect(settings, retry=RetrySettings(attempts=1)).put("k", file)


def test_only_transient_errors_are_tried_again(obs: Any, tmp_path: Path) -> None:
    client, middleware = obs()
    with pytest.raises(Refused):
        client.get("absent", tmp_path / "out")
    assert middleware.faults.visits["s3.get-object"] == 1


def test_settings_of_other_tools_have_no_effect(
    settings: Any, file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    connect(settings, retry=RETRY).put("k", file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoint": ""}, "not a valid URL"),
        ({"endpoint": "obs.cn-north-4.myhuaweicloud.com"}, "not a valid URL"),
        ({"endpoint": "https://obs.cn-north-4.myhuaweicloud.com/bucket"}, "must have only scheme, host and port"),
        ({"endpoint": "https://b-1.obs.cn-north-4.myhuaweicloud.com", "bucket": "b-1"}, "contains the bucket's name"),
        ({"endpoint": "https://obs.cn-south-1.myhuaweicloud.com"}, "obs.region is cn-north-4"),
        ({"endpoint": "https://s3.test", "bucket": "a.b"}, "contains a dot"),
        ({"access_key": SecretStr("")}, "no keys"),
        ({"ca": "/absent/ca.pem"}, "obs.ca"),
    ],
)
def test_settings_that_cannot_work_are_explained(changes: Any, message: str) -> None:
    good = ObsSettings(
        endpoint="https://obs.cn-north-4.myhuaweicloud.com",
        access_key=SecretStr("AK-AK-AK"),
        secret_key=SecretStr("SK-SK-SK"),
    )
    with pytest.raises(UserError, match=message) as caught:
        connect(good.model_copy(update=changes))
    assert "SK-SK" not in str(caught.value)


def test_planned_errors_are_retried(settings: Any, file: Any) -> None:
    faults = FaultPlan.parse("error@obs.put,error@obs.put#2")
    connect(settings, retry=RETRY, faults=faults).put("k", file)
    assert faults.visits["obs.put"] == 3
    with pytest.raises(Transient, match=r"planned fault at obs\.list \(tried 3 times\)"):
        plan = FaultPlan.parse("error@obs.list,error@obs.list#2,error@obs.list#3")
        list(connect(settings, retry=RETRY, faults=plan).list(""))
