"""What the demo page accepts: requests of a stated, bounded size that name no files but uploaded ones."""

import asyncio
import json
from pathlib import Path

from infra.web.access import App, Message, Receive, Scope, Send, headers_of, refuse
from infra.web.pictures import MOST_BYTES, MOST_PICTURES, is_upload

LARGEST_UPLOAD = MOST_PICTURES * MOST_BYTES + 1_000_000  # bytes; the million is for what surrounds the files
LARGEST_EVENT = 1_000_000  # bytes of any other request
MOST_UPLOADED = 2 * 2**30  # bytes in the upload folder together, until Gradio deletes old ones
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


class Guard:
    """ASGI application that checks requests before Gradio reads them, and adds headers that keep the page local.

    Gradio copies whatever file an event names before its callback is called, and a mounted page does not check where
    that file is. So the check is here.
    """

    def __init__(self, app: App, uploads: Path) -> None:
        """Protect `app`, which stores uploaded files below the folder `uploads`."""
        self._app = app
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        length = headers.get("content-length", "0")
        is_file = headers.get("content-type", "").startswith("multipart/form-data")
        most = LARGEST_UPLOAD if is_file else LARGEST_EVENT
        if "transfer-encoding" in headers:
            await refuse(send, 411, "say how long the request is")
        elif not (length.isascii() and length.isdigit()) or len(length) > 12 or int(length) > most:
            await refuse(send, 413, f"more than {most / 1e6:.0f} MB at once")
        elif is_file and await asyncio.to_thread(_size, self._uploads) + int(length) > MOST_UPLOADED:
            await refuse(send, 507, "too many files were uploaded; they are deleted after some minutes")
        elif is_file or int(length) == 0:
            await self._answer(scope, receive, send)
        else:
            await self._check_event(scope, receive, send)

    async def _check_event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the event's JSON, and refuse it if it names a file that is not an uploaded one."""
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return  # the browser left
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        try:
            paths = _paths(json.loads(body))
        except (ValueError, RecursionError):
            await refuse(send, 400, "the request is not JSON")
            return
        if not all(isinstance(path, str) and is_upload(Path(path), self._uploads) for path in paths):
            await refuse(send, 403, "the request names a file that was not uploaded")
            return
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._answer(scope, replay, send)

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
        except asyncio.CancelledError:  # the server stops while a page listens for events: that is no error
            if not started:
                await refuse(send, 503, "the demo has ended")
            elif not finished:
                await send({"type": "http.response.body", "body": b""})


def _paths(value: object) -> list[object]:
    """The values of all keys `path` in a JSON value."""
    found: list[object] = []
    queue = [value]
    while queue:
        item = queue.pop()
        if isinstance(item, dict):
            found += [item["path"]] if "path" in item else []
            queue += item.values()
        elif isinstance(item, list):
            queue += item
    return found


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
