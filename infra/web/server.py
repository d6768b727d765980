"""Serve the demo page: this machine alone unless told otherwise, and nothing from or to the outside."""

import asyncio
import errno
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from infra.errors import UserError
from infra.web.demo import Demo
from infra.web.pictures import MOST_BYTES, MOST_PICTURES

if TYPE_CHECKING:
    from fastapi import FastAPI

LOCAL = ("127.0.0.1", "localhost", "::1")
MISSING = "Gradio is not installed"
HOW = "`make setup` installs it, as does `pip install -e '.[demo]'`"
_GOODBYE_SECONDS = 1
_LARGEST_REQUEST = MOST_PICTURES * MOST_BYTES + 1_000_000  # the million is for what surrounds the files
# Whatever the page's libraries may come to ask of the outside, the browser refuses.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'; object-src 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def installed() -> bool:
    """True when Gradio is; it is not imported."""
    return find_spec("gradio") is not None


def serve(demo: Demo, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM; `tell` hears its address once it can be opened.

    Args:
        demo: what to show.
        host: the address to listen on.
        port: 0 for a free one.
        tell: receives the address.

    Raises:
        UserError: the address cannot be listened on.
    """
    listener = _listen(host, port)
    earlier = signal.signal(signal.SIGTERM, _interrupt)  # so that what was opened is closed, as after Ctrl-C
    try:
        with listener, tempfile.TemporaryDirectory(prefix="atlasflow-demo-") as uploads:
            os.environ.update({**_QUIET, "GRADIO_TEMP_DIR": uploads})  # read when Gradio is imported
            shown, number = listener.getsockname()[:2]
            _run(application(demo, host), listener, lambda: tell(address(shown, number)))
    except KeyboardInterrupt:
        pass  # what ends it, in good order
    finally:
        signal.signal(signal.SIGTERM, earlier)


def address(host: str, port: int) -> str:
    """What a person opens."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def application(demo: Demo, host: str) -> "FastAPI":
    """The page as an ASGI application; `serve` has told Gradio to be quiet before this imports it."""
    import gradio  # noqa: PLC0415 - optional, heavy, and reads the environment
    from fastapi import FastAPI  # noqa: PLC0415
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415

    from infra.web import html, page  # noqa: PLC0415 - imports Gradio

    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if host in LOCAL:  # no other site's name may be made to lead here
        outer.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
    outer.add_middleware(Guard)
    whole: FastAPI = gradio.mount_gradio_app(
        outer,
        page.build(demo),
        path="/",
        max_file_size=MOST_BYTES,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=True,
        theme=page.THEME,
        css=html.STYLE,
    )
    return whole


class Guard:
    """Refuses requests that are too large or do not tell their size, and adds the headers that keep the page local."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers:
            await _refuse(send, 411, "say how long the request is")
        elif not length.isdigit() or int(length) > _LARGEST_REQUEST:
            await _refuse(send, 413, f"more than {_LARGEST_REQUEST / 2**20:.0f} MB at once")
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = finished = False

        async def sending(message: Message) -> None:
            nonlocal started, finished
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            else:
                finished = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:  # the server ends while a page listens for news: that is no error
            if not started:
                await _refuse(send, 503, "the demo has ended")
            elif not finished:
                await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, status: int, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family)
    except OSError as error:
        raise UserError(
            f"'{host}' is no address of this machine: {error}", hint="--host takes 127.0.0.1, say"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        hint = "--port 0 finds a free port" if error.errno == errno.EADDRINUSE else "--host takes 127.0.0.1, say"
        raise UserError(f"cannot listen on {host}:{port}: {error}", hint=hint) from error
    return listener


def _run(app: "FastAPI", listener: socket.socket, ready: Callable[[], None]) -> None:
    import uvicorn  # noqa: PLC0415 - comes with Gradio

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_GOODBYE_SECONDS
    )
    # A page that is open at the end is told so; uvicorn would call that an error.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "graceful shutdown exceeded" not in str(record.msg))
    ready()  # the socket listens already: who comes now waits for a moment
    uvicorn.Server(config).run(sockets=[listener])


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
