"""One request to the front of the OBS stand-in, and its answer."""

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import unquote

from botocore.credentials import Credentials

from infra.obs.emulator import rules, signature, translation
from infra.obs.emulator.http_streams import BLOCK, header_fields, read_body, read_head, whole_body
from infra.obs.emulator.reply import Reply
from infra.obs.emulator.signature import AWS, OBS, Dialect

if TYPE_CHECKING:
    from infra.obs.emulator.middleware import Middleware

_ANSWERS = {"slow-down": rules.SLOW_DOWN, "internal": rules.INTERNAL, "skew": rules.SKEWED}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Exchange:
    """One request and its response."""

    def __init__(self, middleware: "Middleware", head: list[bytes], client: Streams, upstream: Streams) -> None:
        method, target, _ = head[0].decode("latin-1").split(" ", 2)
        if target.startswith("http://"):  # the form of a request to a proxy
            target = "/" + target.split("/", 3)[3] if target.count("/") >= 3 else "/"
        self.middleware = middleware
        self.request = rules.Request(method, target, header_fields(head))
        self.head = [f"{method} {target} HTTP/1.1".encode("latin-1"), *head[1:]]
        self.reader, self.writer = client
        self.upstream_reader, self.upstream_writer = upstream
        self.dialect: Dialect | None = None

    async def run(self) -> bool:
        """Forward the request; True when the connections are reusable."""
        region, middleware = self.middleware.region, self.middleware
        point = rules.operation(self.request, region)
        action = middleware.faults.reach(point)
        refused = _ANSWERS.get(action or "") or rules.refusal(
            self.request, region, path_style=middleware.path_style, checksums=middleware.checksums
        )
        signed = signature.signature_of(self.request) if middleware.keys else None
        if refused is None and signed is not None and middleware.keys is not None:
            self.dialect = signed.dialect
            keys = {middleware.keys.access_key: middleware.keys.secret_key}
            refused = signature.refusal(self.request, signed, keys, region)
        body = b""
        if refused is None and point == "s3.create-bucket":
            body = await whole_body(self.reader, self.request.headers)
            refused = rules.location_refusal(body, region)
        if refused is not None:
            return await self._refuse(refused)
        if action == "slow":
            await asyncio.sleep(1)
        if self.dialect is not None or "apiversion" in self.request.query:
            reply = await self._native()
            if reply is not None:
                return reply
            if middleware.keys is not None and self.dialect is not None:
                body = self._sign_anew(middleware.keys, body, create=point == "s3.create-bucket")
        self.upstream_writer.write(b"\r\n".join([*self.head, b"", b""]) + body)
        if point == "s3.create-bucket":
            return await self._answer(action, point)
        sending = asyncio.create_task(self._send_body(action))
        try:
            reusable = await self._answer(action, point)
            return reusable and sending.done()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _refuse(self, refused: rules.Answer) -> bool:
        self.writer.write(refused.encode(self.request, (self.dialect or AWS).prefix))
        await self._drain_body()
        return False

    async def _native(self) -> bool | None:
        """Answer an operation that only OBS has; None for another one."""
        if "apiversion" in self.request.query and self.request.method == "HEAD":
            self.writer.write(Reply(200, headers={"x-obs-api": "3.0"}).encode(OBS))
            await self.writer.drain()
            return True
        native = self.middleware.native
        operation = native.operation(self.request) if native and self.dialect else None
        if operation is None or self.dialect is None:
            return None
        answer = await asyncio.to_thread(operation, self.dialect, await whole_body(self.reader, self.request.headers))
        if isinstance(answer, rules.Answer):
            return await self._refuse(answer)
        self.writer.write(answer.encode(self.dialect))
        await self.writer.drain()
        return True

    def _sign_anew(self, keys: Credentials, body: bytes, *, create: bool) -> bytes:
        """Replace the head by one for the server behind; return the body to send with it."""
        body = translation.bucket_body_to_server(body) if create else body
        self.head = translation.to_server(self.request, keys, self.middleware.region, len(body) if create else None)
        return body

    async def _drain_body(self) -> None:
        """Read what the client still sends, so that it reads the refusal instead of a reset."""
        await self.writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while await self.reader.read(BLOCK):
                    pass

    async def _send_body(self, action: str | None) -> None:
        length = int(self.request.headers.get("content-length", "0"))
        sent = 0
        async for block in read_body(self.reader, self.request.headers, length):
            sent += len(block)
            if action == "cut" and sent > length // 2:
                self.writer.transport.abort()
                self.upstream_writer.transport.abort()
                return
            self.upstream_writer.write(block)
            await self.upstream_writer.drain()

    async def _answer(self, action: str | None, point: str) -> bool:
        head = await read_head(self.upstream_reader)
        while head and head[0].split(b" ")[1].startswith(b"1"):  # 100 Continue
            self.writer.write(b"\r\n".join([*head, b"", b""]))
            head = await read_head(self.upstream_reader)
        if not head:
            return False
        headers = header_fields(head)
        status = int(head[0].split(b" ")[1])
        empty = self.request.method == "HEAD" or status in (204, 304)
        length = 0 if empty else int(headers.get("content-length", "-1"))
        if action == "lost" or (action == "cut" and length == 0):
            self.writer.transport.abort()
            return False
        changed = await self._changed(head, headers, point, status)
        if changed is not None:
            return changed
        if status < 300:
            head = self._noted(point, head)
        head = translation.from_server(head, self.dialect or AWS)
        return await self._give(head, headers, length, action if status < 300 else None)

    async def _changed(self, head: list[bytes], headers: dict[str, str], point: str, status: int) -> bool | None:
        """Give an answer whose body differs from the server's; None for one that is passed on."""
        native = self.middleware.native
        if point == "s3.create-bucket" and status == 409:
            text = await whole_body(self.upstream_reader, headers)
            owned = b"BucketAlreadyOwnedByYou" in text
            # OBS answers 200 to the same owner's repeated creation in the same region (obs.md §2.4).
            return await self._write(head, b"200 OK" if owned else b"409 Conflict", b"" if owned else text)
        if native is not None and self.dialect is None and status == 200 and "location" in self.request.query:
            await whole_body(self.upstream_reader, headers)  # the server has verified the signature of version 4
            return await self._write(head, b"200 OK", native.location("", AWS, b"").body)
        if await self._is_archived(point, status, headers):
            return await self._refuse(rules.ARCHIVED)
        is_object = point == "s3.get-object" and status < 300
        empty = self.request.method == "HEAD" or status == 204
        if self.dialect is OBS and "xml" in headers.get("content-type", "") and not empty and not is_object:
            body = await whole_body(self.upstream_reader, headers)
            body = translation.body_from_server(body, OBS, self.middleware.region)
            return await self._write(head, head[0].partition(b" ")[2], body)
        return None

    async def _write(self, head: list[bytes], status: bytes, body: bytes) -> bool:
        """Write a whole answer with the server's headers."""
        self.writer.write(rules.altered(translation.from_server(head, self.dialect or AWS), status, len(body)) + body)
        await self.writer.drain()
        return True

    async def _is_archived(self, point: str, status: int, headers: dict[str, str]) -> bool:
        """True for the content of an archived object that was not restored."""
        native, name = self.middleware.native, headers.get("x-amz-storage-class", "")
        if native is None or point != "s3.get-object" or status >= 300 or name not in ("GLACIER", "DEEP_ARCHIVE"):
            return False
        bucket, key, _ = rules.target_of(self.request, self.middleware.region)
        return not await asyncio.to_thread(native.objects.is_restored, bucket, unquote(key))

    def _noted(self, point: str, head: list[bytes]) -> list[bytes]:
        """Keep or add what only OBS knows of a bucket."""
        native, region = self.middleware.native, self.middleware.region
        bucket, _, _ = rules.target_of(self.request, region)
        if native is None:
            return head
        if point == "s3.create-bucket":
            native.created(bucket, rules.default_class(self.request), self.request.headers.get(rules.ZONES, ""))
        elif point == "s3.delete-bucket":
            native.forget(bucket)
        elif point == "s3.head-bucket":
            kept = [line for line in head if not line.lower().startswith(b"x-amz-bucket-region")]
            found = native.facts(bucket)
            own = translation.bucket_head(found.storage_class, found.zones, region, self.dialect or AWS)
            head = [*kept, *own]
        return head

    async def _give(self, head: list[bytes], headers: dict[str, str], length: int, action: str | None) -> bool:
        if action == "truncate" and length > 1:
            head = [line for line in head if not line.lower().startswith(b"content-length:")]
            head.append(b"Content-Length: %d" % (length // 2))
        self.writer.write(b"\r\n".join([*head, b"", b""]))
        given = 0
        async for block in read_body(self.upstream_reader, headers, length):
            data = block
            if action == "alter" and given <= length // 2 < given + len(block):
                data = bytes([block[0] ^ 1]) + block[1:]
            if action in ("cut", "truncate") and given + len(block) > length // 2:
                self.writer.write(block[: length // 2 - given])
                await self.writer.drain()
                if action == "cut":
                    self.writer.transport.abort()
                return False
            given += len(block)
            self.writer.write(data)
            await self.writer.drain()
        await self.writer.drain()
        return headers.get("connection", "").lower() != "close" and length >= 0
