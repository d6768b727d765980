"""Servers of another make, and what stands between: nothing is lost, and nothing passes for an answer that is none."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.obs.client import ObsClient
from infra.ports.values import LocalFile
from infra.store.local_files import describe_folder
from tests.unit.infra.obs.foreign import META, Answer, Foreign, Hook, Request, error, portal, serve

Local = Callable[[bytes], LocalFile]
LARGE = 17 * 1024 * 1024


class Start(Protocol):
    """Starts a server: `start(hook)`."""

    def __call__(self, hook: Hook = ..., *, first_version: bool = ..., markers: bool = ...) -> Foreign: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers."""
    with ExitStack() as stack:

        def make(hook: Hook = lambda _request: None, *, first_version: bool = False, markers: bool = True) -> Foreign:
            return stack.enter_context(serve(Foreign(hook, first_version, markers)))

        yield make


def on(method: str, answer: Answer, *, key: str | None = "k") -> Hook:
    """Replace the answers to a method, for one key (None: for all)."""
    return lambda request: answer if request.method == method and key in (None, request.key) else None


@pytest.mark.parametrize("first_version", [False, True])
def test_a_listing_is_whole_on_servers_of_both_versions(start: Start, first_version: bool) -> None:
    server = start(first_version=first_version)
    for number in range(10):
        server.objects[f"p/{number}"] = (b"x", {})
    client = server.client()
    assert [key for key, _ in client.list("p/")] == [f"p/{number}" for number in range(10)]
    client.files.remove("obs://bucket/p/", recursive=True)
    assert server.objects == {}


@pytest.mark.parametrize("first_version", [False, True])
def test_a_server_without_markers_is_refused_and_nothing_is_decided(
    start: Start, first_version: bool, tmp_path: Path
) -> None:
    server = start(first_version=first_version, markers=False)
    for number in range(10):
        server.objects[f"p/{number}"] = (b"x", {})
    client = server.client()
    decisions: list[Callable[[], object]] = [
        lambda: client.list("p/"),
        lambda: client.files.remove("obs://bucket/p/", recursive=True),
        lambda: client.files.copy_parallel("obs://bucket/p/", str(tmp_path / "out")),
    ]
    for decide in decisions:
        with pytest.raises(Refused, match="listing is not complete"):
            decide()
    assert len(server.objects) == 10


CALLS: dict[str, Callable[[ObsClient, LocalFile, Path], object]] = {
    "put": lambda client, file, _: client.put("k", file),
    "put_bare": lambda client, file, _: client.put_bare("k", file.path),
    "get": lambda client, _, folder: client.get("k", folder / "out"),
    "head": lambda client, *_: client.head("k"),
    "list": lambda client, *_: client.list(""),
    "delete": lambda client, *_: client.delete(["k"]),
    "is_directory": lambda client, *_: client.files.is_directory("obs://bucket/k"),
    "size": lambda client, *_: client.files.size("obs://bucket/k"),
    "sync": lambda client, file, _: client.sync("p", {"a": file}),
    "unfinished": lambda client, *_: client.unfinished(""),
}


@pytest.mark.parametrize("status", [200, 301, 302, 307])
def test_the_page_of_a_portal_and_a_redirect_are_no_answer(
    start: Start, local: Local, tmp_path: Path, status: int
) -> None:
    page = portal()
    server = start(lambda _request: Answer(status, page.body, {**page.headers, "Location": "http://127.0.0.1:1/"}))
    client, file = server.client(), local(b"hello")
    for call in CALLS.values():
        with pytest.raises((Transient, UserError), match="no object store" if status == 200 else None):
            call(client, file, tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("body", [b"<html><br>", b"Please log in", b'{"login": true}'])
def test_a_page_that_is_no_xml_is_no_object_store(start: Start, body: bytes) -> None:
    client = start(lambda _request: Answer(200, body, {"Content-Type": "text/html"})).client()
    for call in (lambda: client.delete(["k"]), lambda: client.list("")):
        with pytest.raises(Transient, match="what answers is no object store"):
            call()


def test_xml_that_a_server_calls_html_is_an_answer(start: Start) -> None:
    server = start(
        lambda request: (
            Answer(
                200,
                b"<?xml version='1.0' encoding='UTF-8'?>\n<DeleteResult><Deleted><Key>k</Key></Deleted></DeleteResult>",
                {"Content-Type": "text/html; charset=UTF-8"},
            )
            if request.method == "POST"
            else None
        )
    )
    server.client().delete(["k"])
    server.hook = lambda _request: Answer(
        200, b"<?xml version='1.0'?><!DOCTYPE html><html><body/></html>", {"Content-Type": "text/html"}
    )
    with pytest.raises(Transient, match="what answers is no object store"):
        server.client().list("")


@pytest.mark.parametrize("key", ["in/2025//deep", "in/./x", "in/" + "x" * 1020])
def test_an_object_whose_copy_would_have_no_key_stops_the_copy_before_it_begins(start: Start, key: str) -> None:
    server = start()
    server.objects = {"in/1": (b"x", {}), key: (b"x", {})}
    with pytest.raises(UserError, match="object key"):
        server.client().files.copy_parallel("obs://bucket/in/", "obs://bucket/copied/")
    assert set(server.objects) == {"in/1", key}


def test_a_file_whose_name_is_not_utf8_stops_the_upload_before_it_begins(start: Start, tmp_path: Path) -> None:
    (tmp_path / "ok.txt").write_bytes(b"x")
    (tmp_path / os.fsdecode("中文.txt".encode("gbk"))).write_bytes(b"x")
    server = start()
    client = server.client()
    uploads: list[Callable[[], object]] = [
        lambda: client.files.copy_parallel(str(tmp_path), "obs://bucket/p/"),
        lambda: client.sync_archive("p.tar", describe_folder(tmp_path)),
    ]
    for upload in uploads:
        with pytest.raises(UserError, match=r"UTF-8"):
            upload()
    assert not server.objects


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_page_of_a_portal_is_no_multipart_upload(start: Start, local: Local, method: str) -> None:
    def hook(request: Request) -> Answer | None:
        if request.method == "GET" and "uploads" in request.query:
            return Answer(200, b"<R><IsTruncated>false</IsTruncated></R>")
        if request.method == method:
            return portal()
        if request.method == "POST":
            return Answer(200, b"<R><UploadId>u</UploadId></R>")
        return Answer(204) if request.method == "DELETE" else None

    with pytest.raises(Transient, match="what answers is no object store"):
        start(hook).client().put("k", local(b"x" * LARGE))


def test_an_encrypted_object_is_confirmed_by_its_metadata(start: Start, local: Local) -> None:
    file = local(b"hello")
    server = start()

    def encrypted(request: Request) -> Answer | None:
        if request.key == "k" and request.method in ("PUT", "HEAD"):
            headers = {"ETag": '"another"', f"{META}sha256": file.sha256}
            return Answer(200, b"" if request.method == "PUT" else b"hello", headers)
        return None

    server.hook = encrypted
    server.client().put("k", file)


def test_keys_that_may_not_list_uploads_can_send(start: Start, local: Local, caplog: pytest.LogCaptureFixture) -> None:
    server = start(lambda request: error(403, "AccessDenied", "no") if "uploads" in request.query else None)
    with caplog.at_level(logging.WARNING):
        assert server.client().sync("p", {"a": local(b"hello")}).sent == ("p/a",)
    assert "abandoned uploads" in caplog.text


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("InternalError", 500), ("NobodyKnows", 400)])
def test_the_servers_own_words_are_shown(start: Start, local: Local, code: str, status: int) -> None:
    server = start(on("PUT", error(status, code, "Object is WORM protected and cannot be overwritten.")))
    with pytest.raises(AtlasFlowError, match=rf"WORM protected.*{code}"):
        server.client().put("k", local(b"hello"))
