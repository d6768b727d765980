"""Serve the demo page: for this machine by default, and with nothing from or to the outside."""

import asyncio
import errno
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import UserError
from infra.web.access import Access, App, with_token
from infra.web.demo import Demo
from infra.web.guard import Guard
from infra.web.pictures import MOST_BYTES

if TYPE_CHECKING:
    from fastapi import FastAPI

MISSING = "Gradio is not installed"
HOW = "`make dev` installs it"
_GOODBYE_SECONDS = 1
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}


def installed() -> bool:
    """True when Gradio is; it is not imported."""
    return find_spec("gradio") is not None


def serve(demo: Demo, host: str, port: int, token: str, on_start: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        demo: what to show.
        host: the address to listen on.
        port: 0 for a free one.
        token: secret that opens the page; the address contains it.
        on_start: is called with the address once it can be opened.

    Raises:
        UserError: the address cannot be listened on.
    """
    listener = _listen(host, port)
    earlier = signal.signal(signal.SIGTERM, _interrupt)  # so that what was opened is closed, as after Ctrl-C
    try:
        with listener, tempfile.TemporaryDirectory(prefix="atlasflow-demo-") as uploads:
            os.environ.update({**_QUIET, "GRADIO_TEMP_DIR": uploads})  # read when Gradio is imported
            shown, number = listener.getsockname()[:2]
            app = application(demo, host, token, Path(uploads))
            run(app, listener, lambda: on_start(with_token(address(shown, number), token)))
    except KeyboardInterrupt:  # before the page was up
        pass
    finally:
        signal.signal(signal.SIGTERM, earlier)


def address(host: str, port: int) -> str:
    """What a person opens."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def application(demo: Demo, host: str, token: str, uploads: Path) -> "FastAPI":
    """Build the page as an ASGI application that listens on `host`; needs Gradio's environment as `serve` sets it."""
    import gradio  # noqa: PLC0415 - optional, heavy, and reads the environment
    from fastapi import FastAPI  # noqa: PLC0415

    from infra.web import html, page  # noqa: PLC0415 - imports Gradio

    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.add_middleware(Guard, uploads=uploads)
    outer.add_middleware(Access, token=token, host=host)  # the last one added is the first one asked

    async def mounted() -> FastAPI:  # where no event loop runs, Gradio makes one and never closes it
        whole: FastAPI = gradio.mount_gradio_app(
            outer,
            page.build(demo, uploads),
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

    return asyncio.run(mounted())


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


def run(
    app: App, listener: socket.socket, on_start: Callable[[], None], goodbye_seconds: int = _GOODBYE_SECONDS
) -> None:
    """Serve an application until Ctrl-C, which ends it although an answer is still being computed.

    Args:
        app: what to serve.
        listener: the socket; the caller may close it once this returns.
        on_start: is called when the page can be opened.
        goodbye_seconds: how long pages that are open at the end may take.
    """
    import uvicorn  # noqa: PLC0415 - comes with Gradio

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=goodbye_seconds
    )
    server = uvicorn.Server(config)
    # A page that is open at the end is closed, an answer cut off; uvicorn would call that an error.
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
    ended = threading.Event()

    def work() -> None:
        try:
            # The caller may close its socket while this one is still in use.
            server.run(sockets=[listener.dup()])
        finally:
            ended.set()

    # The event loop waits for answers that are being computed, however long they take; nobody waits for a daemon thread
    # and those that it starts. Python 3.11 takes a thread for ended once Ctrl-C interrupts `join`, hence the event.
    thread = threading.Thread(target=work, daemon=True)
    try:
        on_start()  # the socket listens already: who comes now waits for a moment
        thread.start()
        ended.wait()
    except KeyboardInterrupt:
        server.should_exit = True
        ended.wait(3 * goodbye_seconds)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
