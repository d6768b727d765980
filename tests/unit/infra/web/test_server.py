import asyncio
import socket

import pytest

from infra.errors import UserError
from infra.web import server
from infra.web.pictures import MOST_BYTES, MOST_PICTURES


async def seen(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"page"})


def ask(page=seen, **headers):
    """Status, headers and body of the guard's answer."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]}
    asyncio.run(server.Guard(page)(scope, None, send))
    start, *bodies = sent
    assert not bodies[-1].get("more_body")
    return start["status"], dict(start["headers"]), b"".join(body["body"] for body in bodies)


def test_the_page_tells_the_browser_to_ask_nobody_else():
    status, headers, body = ask(content_length="1000")
    assert (status, body, headers[b"a"]) == (200, b"page", b"b")
    assert headers[b"content-security-policy"].startswith(b"default-src 'self'")
    assert b"http" not in headers[b"content-security-policy"]


def test_requests_that_are_too_large_or_hide_their_size_are_refused():
    most = MOST_PICTURES * MOST_BYTES + 1_000_000
    assert ask(content_length=str(most))[0] == 200
    assert ask(content_length=str(most + 1))[0] == 413
    assert ask(content_length="-1")[0] == 413
    assert ask(transfer_encoding="chunked")[0] == 411


def test_a_page_that_still_listens_when_the_server_ends_gets_a_whole_answer():
    async def listening(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"news", "more_body": True})
        raise asyncio.CancelledError

    async def done(_scope, _receive, send):
        await seen(_scope, _receive, send)
        raise asyncio.CancelledError

    async def working(_scope, _receive, _send):
        raise asyncio.CancelledError

    assert (ask(listening)[0], ask(listening)[2]) == (200, b"news")
    assert (ask(done)[0], ask(done)[2]) == (200, b"page")
    assert ask(working)[0] == 503


def test_an_address_that_cannot_be_had_is_an_error():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"cannot listen on 127.0.0.1:{port}[^→]+→ --port 0"):
            server.serve(None, "127.0.0.1", port, print)
    with pytest.raises(UserError, match=r"cannot listen on 192\.0\.2\.1:0[^→]+→ --host"):
        server.serve(None, "192.0.2.1", 0, print)  # of nobody's machine (RFC 5737)
    with pytest.raises(UserError, match=r"'no\.such\.host\.invalid' is no address"):
        server.serve(None, "no.such.host.invalid", 0, print)


def test_addresses_are_what_a_person_opens():
    assert server.address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert server.address("::1", 80) == "http://[::1]:80/"
