"""What the demo page refuses before Gradio sees it."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from infra.web.access import App, Message, Receive, Scope, Send
from infra.web.guard import LARGEST_EVENT, MOST_UPLOADED, Guard
from infra.web.pictures import MOST_BYTES, MOST_PICTURES, is_upload

FORM = "multipart/form-data; boundary=x"


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    body = (await receive()).get("body", b"")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": body or b"page"})


def ask(uploads: Path, page: App = echo, body: bytes = b"", **headers: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the guard's answer; the body arrives in two parts."""
    sent: list[Message] = []
    parts = [body[:10], body[10:]]

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    headers = {"content_length": str(len(body)), **headers}
    scope: Scope = {"type": "http", "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]}
    asyncio.run(Guard(page, uploads)(scope, receive, send))
    start, *bodies = sent
    assert not bodies[-1].get("more_body")
    return start["status"], dict(start["headers"]), b"".join(body["body"] for body in bodies)


def event(*paths: object) -> bytes:
    """What the page sends when files were dropped."""
    return json.dumps({"data": [[{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]]}).encode()


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """A file that was uploaded; its folder's parent is that of the uploads."""
    path = tmp_path / "uploads" / "abc" / "cat.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cat")
    return path


def test_the_page_tells_the_browser_to_ask_nobody_else(tmp_path: Path) -> None:
    status, headers, body = ask(tmp_path)
    assert (status, body, headers[b"a"]) == (200, b"page", b"b")
    assert headers[b"content-security-policy"].startswith(b"default-src 'self'")
    assert b"http" not in headers[b"content-security-policy"]


def test_requests_that_are_too_large_or_hide_their_size_are_refused(tmp_path: Path) -> None:
    most = MOST_PICTURES * MOST_BYTES + 1_000_000
    assert ask(tmp_path, content_type=FORM, content_length=str(most))[0] == 200
    assert ask(tmp_path, content_type=FORM, content_length=str(most + 1))[0] == 413
    assert ask(tmp_path, content_length=str(LARGEST_EVENT + 1))[0] == 413
    for length in ("-1", "9" * 5000, "²"):
        assert ask(tmp_path, content_length=length)[0] == 413
    assert ask(tmp_path, transfer_encoding="chunked")[0] == 411


def test_the_upload_folder_does_not_grow_without_bound(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_UPLOADED - 5)
    assert ask(tmp_path, content_type=FORM, content_length="5")[0] == 200
    assert ask(tmp_path, content_type=FORM, content_length="6")[0] == 507


def test_an_event_may_name_uploaded_files_and_no_others(upload: Path, tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    body = event(str(upload))
    assert ask(uploads, body=body)[::2] == (200, body)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (uploads / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(uploads / "pipe.png")
    for path in (
        "/dev/zero",
        str(tmp_path / "secret.png"),
        f"{upload.parent}/../../secret.png",
        str(uploads / "link.png"),
        str(uploads / "pipe.png"),
        str(uploads),
        str(uploads / "absent.png"),
        "http://other.example/cat.png",
        "a\0b",
        "",
        None,
        3,
    ):
        assert ask(uploads, body=event(str(upload), path))[0] == 403, path


@pytest.mark.parametrize("body", [b"no JSON at all", b"[" * 500_000, b"\xff" * 20])
def test_an_event_that_is_not_json_is_refused(tmp_path: Path, body: bytes) -> None:
    assert ask(tmp_path, body=body)[0] == 400


def test_a_browser_that_leaves_in_the_middle_of_its_request_gets_no_answer(tmp_path: Path) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    asyncio.run(Guard(echo, tmp_path)({"type": "http", "headers": [(b"content-length", b"5")]}, receive, send))


def test_what_is_an_upload(upload: Path) -> None:
    assert is_upload(upload, upload.parent.parent)
    assert not is_upload(upload, upload.parent / "other")


def test_a_page_that_still_listens_when_the_server_ends_gets_a_whole_answer(tmp_path: Path) -> None:
    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"news", "more_body": True})
        raise asyncio.CancelledError

    async def done(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        raise asyncio.CancelledError

    async def working(scope: Scope, receive: Receive, _send: Send) -> None:
        raise asyncio.CancelledError

    assert (ask(tmp_path, listening)[0], ask(tmp_path, listening)[2]) == (200, b"news")
    assert (ask(tmp_path, done)[0], ask(tmp_path, done)[2]) == (200, b"page")
    assert ask(tmp_path, working)[0] == 503
