"""A proof that reads: who writes the bucket may leave the right digest at the wrong bytes."""

from pathlib import Path
from typing import Any

import pytest

from infra.obs.client import connect
from infra.obs.listing import DIGEST


@pytest.fixture
def deep(settings: Any) -> Any:
    client = connect(settings, emulated=True)
    client.read_every_byte()
    return client


def forge(client: Any, key: str, data: bytes, **metadata: str) -> None:
    client._connection.s3.put_object(Bucket=client.bucket, Key=key, Body=data, Metadata=metadata)


def test_wrong_bytes_under_the_right_digest_are_found_and_mended(client: Any, deep: Any, local: Any) -> None:
    files = {"a": local(b"first", "a"), "b": local(b"other", "b")}
    client.sync("p", files)
    forge(client, "p/a", b"wrong", **{DIGEST: files["a"].sha256})
    assert list(client.missing("p", files)) == []
    assert list(deep.missing("p", files)) == ["a"]
    assert deep.sync("p", files).sent == ("p/a",)
    assert list(deep.missing("p", files)) == []


def test_an_archive_is_read_too(client: Any, deep: Any, local: Any, tmp_path: Path) -> None:
    files = {"a": local(b"first", "a"), "b": local(b"other", "b")}
    client.sync_archive("p.tar", files)
    metadata = client._connection.s3.head_object(Bucket=client.bucket, Key="p.tar")["Metadata"]
    client.get("p.tar", tmp_path / "p.tar")
    forge(client, "p.tar", (tmp_path / "p.tar").read_bytes().replace(b"first", b"wrong"), **metadata)
    assert client.holds_archive("p.tar", files)
    assert not deep.holds_archive("p.tar", files)
    assert deep.sync_archive("p.tar", files).sent == ("p.tar",)
    assert deep.holds_archive("p.tar", files)


def test_a_bucket_that_is_gone_holds_nothing(settings: Any, local: Any) -> None:
    client = connect(settings.model_copy(update={"bucket": "test-gone"}), emulated=True)
    files = {"a": local(b"first", "a")}
    assert list(client.missing("p", files)) == ["a"]
    assert not client.holds_archive("p.tar", files)
