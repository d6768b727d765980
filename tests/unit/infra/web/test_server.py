import asyncio
import socket

import pytest

from infra.errors import UserError
from infra.web import server


async def seen(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"page"})


def ask(**headers):
    """Status, headers and body of the guard's answer."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]}
    asyncio.run(server.Guard(seen)(scope, None, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def test_the_page_tells_the_browser_to_ask_nobody_else():
    status, headers, body = ask(content_length="1000")
    assert (status, body, headers[b"a"]) == (200, b"page", b"b")
    assert headers[b"content-security-policy"].startswith(b"default-src 'self'")
    assert b"http" not in headers[b"content-security-policy"]


def test_requests_that_are_too_large_or_hide_their_size_are_refused():
    assert ask(content_length="161000000")[0] == 200
    assert ask(content_length="161000001")[0] == 413
    assert ask(content_length="-1")[0] == 413
    assert ask(transfer_encoding="chunked")[0] == 411


def test_an_address_that_cannot_be_had_is_an_error():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
            server.serve(None, "127.0.0.1", port, print)
    with pytest.raises(UserError, match=r"'no\.such\.host\.invalid' is no address"):
        server.serve(None, "no.such.host.invalid", 0, print)


def test_addresses_are_what_a_person_opens():
    assert server.address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert server.address("::1", 80) == "http://[::1]:80/"
