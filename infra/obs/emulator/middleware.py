"""A thin middleware that makes an S3 server behave as OBS where OBS differs, and injects faults.

    python -m infra.obs.emulator.middleware --upstream PORT --port PORT --tls-port PORT --certificates FOLDER

It is a proxy on 127.0.0.1 that changes neither a body nor a Host header, so signatures stay valid. A client reaches
it directly, over TLS, or as its HTTP proxy: then OBS's own host names work without a DNS lookup, and CONNECT
ends at the middleware's own TLS listener, with a test CA in the folder.

The fault plan's points are `rules.operation`, its actions: `slow-down`, `internal`, `skew` (answers of OBS), `cut` (the
connection ends in the middle of a body), `lost` (the request is executed, its answer dropped), `truncate` and `alter`
(a body that is shorter, or has one wrong byte), `slow` (a delay of one second).
"""

import argparse
import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from infra.faults import FaultPlan
from infra.obs.emulator import certificates as tls
from infra.obs.emulator import rules
from infra.obs.emulator.http_streams import BLOCK, close, header_fields, pump, read_body, read_head

_ANSWERS = {"slow-down": rules.SLOW_DOWN, "internal": rules.INTERNAL, "skew": rules.SKEWED}


@dataclass
class Middleware:
    """The proxy; with `port` 0 it takes a free port, known inside `running`.

    Attributes:
        upstream: port of the S3 server on 127.0.0.1.
        region: the emulated region.
        path_style: accept path style; OBS does not.
        checksums: accept checksum headers; OBS's behaviour is not documented, so the default is to refuse them.
        faults: planned faults.
        certificates: folder of the test CA; None for no TLS.
    """

    upstream: int
    region: str = "cn-north-4"
    path_style: bool = False
    checksums: bool = False
    faults: FaultPlan = field(default_factory=FaultPlan)
    certificates: Path | None = None
    port: int = 0
    tls_port: int = 0
    _connections: set[asyncio.Task[None]] | None = field(default=None, init=False)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen inside the block."""
        self._connections = set()
        servers = [await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=BLOCK)]
        try:
            if self.certificates is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*tls.server_certificate(self.certificates, self.region))
                servers.append(
                    await asyncio.start_server(self._accept, "127.0.0.1", self.tls_port, limit=BLOCK, ssl=context)
                )
                self.tls_port = _port(servers[1])
            self.port = _port(servers[0])
            yield
        finally:
            for server in servers:
                server.close()
            await self._end_connections()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections is None:
            writer.transport.abort()  # its TLS handshake completed after the end
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _end_connections(self) -> None:
        running, self._connections = self._connections or set(), None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(close, writer)
            # A peer that disconnects is normal here, not an error.
            stack.enter_context(contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError))
            head = await read_head(reader)
            if head and head[0].startswith(b"CONNECT "):
                await self._tunnel(reader, writer)
                return
            upstream = await asyncio.open_connection("127.0.0.1", self.upstream, limit=BLOCK)
            stack.push_async_callback(close, upstream[1])
            while head and await _Exchange(self, head, (reader, writer), upstream).run():
                head = await read_head(reader)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a CONNECT request for any host name to this middleware's own TLS listener."""
        if self.certificates is None:
            writer.write(b"HTTP/1.1 502 No TLS here\r\n\r\n")
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.tls_port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            await close(inner_writer)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Exchange:
    """One request and its response."""

    def __init__(self, middleware: Middleware, head: list[bytes], client: Streams, upstream: Streams) -> None:
        method, target, _ = head[0].decode("latin-1").split(" ", 2)
        if target.startswith("http://"):  # the form of a request to a proxy
            target = "/" + target.split("/", 3)[3] if target.count("/") >= 3 else "/"
        self.middleware = middleware
        self.request = rules.Request(method, target, header_fields(head))
        self.head = [f"{method} {target} HTTP/1.1".encode("latin-1"), *head[1:]]
        self.reader, self.writer = client
        self.upstream_reader, self.upstream_writer = upstream

    async def run(self) -> bool:
        """Forward the request; True when the connections are reusable."""
        region = self.middleware.region
        point = rules.operation(self.request, region)
        action = self.middleware.faults.reach(point)
        refused = _ANSWERS.get(action or "") or rules.refusal(
            self.request, region, path_style=self.middleware.path_style, checksums=self.middleware.checksums
        )
        body = b""
        if refused is None and point == "s3.create-bucket":
            body = await self.reader.readexactly(int(self.request.headers.get("content-length", "0")))
            refused = rules.location_refusal(body, region)
        if refused is not None:
            self.writer.write(refused.encode(self.request))
            await self._drain_body()
            return False
        if action == "slow":
            await asyncio.sleep(1)
        self.upstream_writer.write(b"\r\n".join([*self.head, b"", b""]) + body)
        if point == "s3.create-bucket":
            return await self._answer(action, owned_is_fine=True)
        sending = asyncio.create_task(self._send_body(action))
        try:
            reusable = await self._answer(action)
            return reusable and sending.done()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

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

    async def _answer(self, action: str | None, *, owned_is_fine: bool = False) -> bool:
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
        if owned_is_fine and status == 409:
            text = b"".join([block async for block in read_body(self.upstream_reader, headers, length)])
            owned = b"BucketAlreadyOwnedByYou" in text
            # OBS answers 200 to the same owner's repeated creation in the same region (obs.md §2.4).
            self.writer.write(rules.altered(head, b"200 OK") if owned else b"\r\n".join([*head, b"", b""]) + text)
            await self.writer.drain()
            return owned
        if action == "lost" or (action == "cut" and length == 0):
            self.writer.transport.abort()
            return False
        return await self._give(head, headers, length, action if status < 300 else None)

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


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _forever(middleware: Middleware) -> None:
    async with middleware.running():
        await asyncio.Event().wait()


def main() -> None:
    """Run as a service, with the fault plan of `ATLASFLOW_FAULTS`."""
    parser = argparse.ArgumentParser(description="Make an S3 server behave as OBS (stand-in).")
    for name in ("upstream", "port", "tls-port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--region", default="cn-north-4")
    parser.add_argument("--certificates", type=Path, required=True)
    parser.add_argument("--path-style", action="store_true")
    parser.add_argument("--checksums", action="store_true")
    middleware = Middleware(**vars(parser.parse_args()), faults=FaultPlan.parse(os.environ.get("ATLASFLOW_FAULTS", "")))
    asyncio.run(_forever(middleware))


if __name__ == "__main__":
    main()
