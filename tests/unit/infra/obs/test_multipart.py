import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from infra.errors import Corrupt, UserError
from infra.obs import multipart
from infra.obs.address import ObjectAddress
from infra.obs.multipart import MEBIBYTE, part_size
from infra.obs.unfinished import abort_older

TERA = 1024**4


@pytest.mark.parametrize("size", [1, 8 * MEBIBYTE, 80_000 * MEBIBYTE, 80_000 * MEBIBYTE + 1, TERA, 48 * TERA])
def test_parts_are_never_too_many_or_too_small(size: Any) -> None:
    part = part_size(size)
    assert part % MEBIBYTE == 0
    assert 8 * MEBIBYTE <= part <= 5 * 1024 * MEBIBYTE
    assert -(-size // part) <= 10_000


def test_a_file_that_no_object_can_hold_is_refused() -> None:
    with pytest.raises(UserError, match=r"48\.8 TB"):
        part_size(50 * TERA)


def test_unfinished_uploads_are_found_and_ended_by_age(client: Any, local: Any) -> None:
    s3 = client._connection.s3
    for key in ("a/k", "a/l", "b"):
        s3.create_multipart_upload(Bucket=client.bucket, Key=key)
    assert sorted(client.unfinished("a/")) == ["a/k", "a/l"]
    assert client.abort_unfinished("a/", timedelta(days=1)) == []
    assert sorted(client.abort_unfinished("a/", timedelta(0))) == ["a/k", "a/l"]
    # the next upload of a key ends what is left of it
    client.put("b", local(os.urandom(17 * MEBIBYTE)))
    assert client.unfinished("") == []


class ListedUploads:
    """A connection whose server lists one unfinished upload and tells its time; it notes what is aborted."""

    def __init__(self, date: datetime, begun: datetime) -> None:
        self.page: dict[str, object] = {
            "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(date, usegmt=True)}},
            "Uploads": [{"Key": "k", "UploadId": "1", "Initiated": begun}],
            "IsTruncated": False,
        }
        self.aborted: list[str] = []
        self.s3 = self

    def call(self, point: str, address: str, action: Callable[[], object]) -> object:
        return action()

    def list_multipart_uploads(self, **_: str) -> dict[str, object]:
        return self.page

    def abort_multipart_upload(self, **call: str) -> None:
        self.aborted.append(call["Key"])


@pytest.mark.parametrize(("hours", "aborted"), [(23, []), (25, ["k"])])
@pytest.mark.parametrize("skew", [-30, 0, 30])
def test_the_age_of_an_upload_is_measured_by_the_clock_of_the_server(hours: int, aborted: list[str], skew: int) -> None:
    """This machine's clock may be days wrong: an upload that another machine is sending stays."""
    server_time = datetime.now(UTC) + timedelta(days=skew)
    connection: Any = ListedUploads(server_time, server_time - timedelta(hours=hours))
    assert abort_older(connection, "b", "", timedelta(days=1)) == aborted == connection.aborted


def test_memory_is_bounded_by_parts_in_flight(client: Any, local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = local(os.urandom(40 * MEBIBYTE))
    monkeypatch.setattr(multipart, "MEMORY", 16 * MEBIBYTE)
    upload = multipart.Multipart(client._connection, ObjectAddress(client.bucket, "k"), file, {}, "")
    assert (upload.parts, upload.in_flight) == (5, 2)


def test_somebody_who_keeps_writing_other_bytes_is_noticed(
    client: Any, local: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart.Multipart, "_stored", lambda self: False)
    with pytest.raises(Exception, match="another program keeps writing"):
        client.put("k", local(os.urandom(17 * MEBIBYTE)))
    assert client.unfinished("") == []


def test_a_file_that_shrinks_while_it_is_sent(client: Any, local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = local(os.urandom(40 * MEBIBYTE))
    original = multipart.Multipart._create

    def shrink(self: Any) -> Any:
        upload = original(self)
        os.truncate(file.path, 20 * MEBIBYTE)
        return upload

    monkeypatch.setattr(multipart.Multipart, "_create", shrink)
    with pytest.raises(Corrupt, match="has changed"):
        client.put("k", file)
    assert client.head("k") is None
    assert client.unfinished("") == []
