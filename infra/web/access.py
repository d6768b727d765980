"""Who may open a page that this machine serves: requests for its own address, with the secret of the home.

The address that a command prints carries the secret. The first request exchanges it for a cookie, so that it leaves the
browser's address bar. Browsers send cookies to every port of a host: another server on 127.0.0.1 that the same person
opens could read it.
"""

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from infra.secrets import service_secret

LOCAL = ("127.0.0.1", "localhost", "::1")
HEALTH = "/healthy"
"""Answers 200 to everybody, with nothing in it."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def token_of(home: Path) -> str:
    """The secret of a home's pages: made at first use, readable by its owner alone."""
    return service_secret(home, "web")


def with_token(address: str, token: str) -> str:
    """The address that lets a browser in."""
    return f"{address.rstrip('/')}/?token={token}"


class Access:
    """ASGI application that passes requests on to another one only if they may see it.

    Answers 400 for a name that is not this machine's (DNS rebinding), 403 for requests that a page of another origin
    makes, and 401 without the secret. Web sockets are refused.
    """

    def __init__(self, app: App, token: str, host: str) -> None:
        """Protect `app`, which listens on `host`, with `token`."""
        self._app = app
        self._token = token
        self._session = hmac.new(token.encode(), b"cookie", hashlib.sha256).hexdigest()
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        site = headers.get("host", "")
        port = re.search(r":(\d+)$", site)
        cookie = f"atlasflow-{port[1]}" if port else "atlasflow"
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if not self._is_own(site):
            await refuse(send, 400, "this page does not have that name")
        elif "origin" in headers and headers["origin"].partition("://")[2] != site:
            await refuse(send, 403, "a page of another site asks")
        elif scope["path"] == HEALTH:
            await refuse(send, 200, "")
        elif scope["method"] == "GET" and _equal("".join(query.pop("token", [])), self._token):
            target = "/" + scope["path"].lstrip("/") + (f"?{urlencode(query, doseq=True)}" if query else "")
            session = f"{cookie}={self._session}; Path=/; HttpOnly; SameSite=Lax"
            await refuse(send, 303, "", (b"location", target.encode()), (b"set-cookie", session.encode()))
        elif _equal(_cookies(headers).get(cookie, ""), self._session):
            await self._app(scope, receive, send)
        else:
            await refuse(send, 401, "open the address that the command printed; it ends with ?token=…")

    def _is_own(self, site: str) -> bool:
        """Is `site`, a Host header, a name of this machine, or an IP address when others may reach it?"""
        try:
            name = urlsplit(f"//{site}").hostname or ""
        except ValueError:
            return False
        if name in LOCAL or name == self._host:
            return True
        return self._host not in LOCAL and (_is_address(name) or name == socket.gethostname().lower())


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of a request by lower-case name."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def refuse(send: Send, status: int, why: str, *more: tuple[bytes, bytes]) -> None:
    """Answer with one sentence and end the connection; `more` are further headers."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookies(headers: dict[str, str]) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
