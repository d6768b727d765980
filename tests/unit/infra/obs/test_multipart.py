import os
from datetime import timedelta

import pytest

from infra.errors import Corrupt, UserError
from infra.obs import multipart
from infra.obs.multipart import MEBIBYTE, part_size

TERA = 1024**4


@pytest.mark.parametrize("size", [1, 8 * MEBIBYTE, 80_000 * MEBIBYTE, 80_000 * MEBIBYTE + 1, TERA, 48 * TERA])
def test_parts_are_never_too_many_or_too_small(size):
    part = part_size(size)
    assert part % MEBIBYTE == 0
    assert 8 * MEBIBYTE <= part <= 5 * 1024 * MEBIBYTE
    assert -(-size // part) <= 10_000


def test_a_file_that_no_object_can_hold_is_refused():
    with pytest.raises(UserError, match=r"48\.8 TB"):
        part_size(50 * TERA)


def test_unfinished_uploads_are_found_and_ended_by_age(client, local):
    s3 = client._connection.s3
    for key in ("a/k", "a/l", "b"):
        s3.create_multipart_upload(Bucket=client.bucket, Key=key)
    assert sorted(client.unfinished("a/")) == ["a/k", "a/l"]
    assert client.abort_unfinished("a/", timedelta(days=1)) == []
    assert sorted(client.abort_unfinished("a/", timedelta(0))) == ["a/k", "a/l"]
    # the next upload of a key ends what is left of it
    client.put("b", local(os.urandom(17 * MEBIBYTE)))
    assert client.unfinished("") == []


def test_memory_is_bounded_by_parts_in_flight(client, local, monkeypatch):
    file = local(os.urandom(40 * MEBIBYTE))
    monkeypatch.setattr(multipart, "MEMORY", 16 * MEBIBYTE)
    upload = multipart.Multipart(client._connection, None, file, {}, "")
    assert (upload.parts, upload.in_flight) == (5, 2)


def test_somebody_who_keeps_writing_other_bytes_is_noticed(client, local, monkeypatch):
    monkeypatch.setattr(multipart.Multipart, "_stored", lambda self: False)
    with pytest.raises(Exception, match="somebody else keeps writing"):
        client.put("k", local(os.urandom(17 * MEBIBYTE)))
    assert client.unfinished("") == []


def test_a_file_that_shrinks_while_it_is_sent(client, local, monkeypatch):
    file = local(os.urandom(40 * MEBIBYTE))
    original = multipart.Multipart._create

    def shrink(self):
        upload = original(self)
        os.truncate(file.path, 20 * MEBIBYTE)
        return upload

    monkeypatch.setattr(multipart.Multipart, "_create", shrink)
    with pytest.raises(Corrupt, match="has changed"):
        client.put("k", file)
    assert client.head("k") is None
    assert client.unfinished("") == []
