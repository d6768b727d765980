import logging
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.errors import Corrupt, Refused, Transient
from infra.faults import FaultPlan
from infra.obs import bucket
from infra.obs.client import connect
from infra.settings import RetrySettings

RETRY = RetrySettings(attempts=3, seconds=0.01)


@pytest.fixture
def fresh(as_obs: Any) -> Iterator[Any]:
    """Settings of a bucket that is not there yet, and what was sent to make it."""
    _, settings = as_obs()
    settings = settings.model_copy(update={"bucket": f"test-{secrets.token_hex(6)}"})
    made: list[Any] = []

    def connected(**changes: Any) -> Any:
        made.append(connect(settings.model_copy(update=changes), retry=RETRY))
        return made[-1]

    yield connected
    for client in made:
        if client.ensure_bucket() is False:
            client.delete(key for key, _ in client.list(""))
            client.remove_bucket()
            break


def test_a_bucket_is_private_and_standard_unless_said_otherwise(
    fresh: Any, local: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = fresh()
    sent: dict[str, Any] = {}
    client._connection.s3.meta.events.register_last(
        "before-send.s3.CreateBucket", lambda request, **_: sent.update(request.headers, body=request.body)
    )
    assert client.ensure_bucket()
    assert sent["x-amz-acl"] == b"private"
    assert sent["x-default-storage-class"] == b"STANDARD"
    assert b"x-default-storage-class" in sent["Authorization"]
    assert b"<LocationConstraint>cn-north-4</LocationConstraint>" in sent["body"]
    assert caplog.text == ""


def test_public_read_is_a_choice_with_a_warning(
    fresh: Any, settings: Any, local: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    client = fresh(acl="public-read")
    assert client.ensure_bucket()
    assert f"bucket {client.bucket} is public-read" in caplog.text
    caplog.clear()
    assert not client.ensure_bucket()
    assert caplog.text == ""


def test_a_private_object_needs_a_link(client: Any, settings: Any, local: Any) -> None:
    client.put("k", local(b"mine"))
    assert httpx.get(f"{settings.endpoint}/{client.bucket}/k").status_code == 403


def test_a_wrong_secret_is_told_from_a_missing_right(settings: Any) -> None:
    """The answer to the HEAD of a bucket says 403 in both cases, and no more."""
    other = settings.model_copy(update={"secret_key": type(settings.secret_key)("wrong")})
    with pytest.raises(Refused, match="the signature is wrong") as caught:
        connect(other, retry=RETRY).ensure_bucket()
    assert "ATLASFLOW_OBS__SECRET_KEY" in caught.value.hint


def test_access_is_proved_by_writing_and_reading(client: Any) -> None:
    access = client.prove_access()
    assert 0 < access.seconds < 30
    assert abs(access.clock_ahead) < 10
    assert list(client.list("")) == []


def test_a_probe_tells_what_is_wrong(obs: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    through, _ = obs(",".join(f"internal@s3.get-object#{visit}" for visit in range(1, 9)))
    with pytest.raises(Transient):
        through.prove_access()
    assert list(client.list("")) == []
    with pytest.raises(Refused, match="clock"):
        obs("skew@s3.put-object")[0].prove_access()
    monkeypatch.setattr(bucket, "remove", lambda *_: None)
    with pytest.raises(Corrupt, match="differ from the bytes written"):
        client.prove_access()


def test_a_missing_bucket_shows_in_the_probe(settings: Any) -> None:
    absent = settings.model_copy(update={"bucket": "test-absent"})
    with pytest.raises(Refused, match="no such bucket"):
        connect(absent, retry=RETRY, faults=FaultPlan()).prove_access()
