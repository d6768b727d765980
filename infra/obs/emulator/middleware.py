"""A thin middleware that makes an S3 server behave as OBS where OBS differs, and injects faults.

    python -m infra.obs.emulator.middleware --upstream PORT --port PORT --tls-port PORT --certificates FOLDER

It is a proxy on 127.0.0.1. Requests with an AWS signature of version 4 pass unchanged, so it stays valid; those with
OBS's own signature, or one of version 2, are verified here and signed anew. A client reaches it directly, over TLS, or
as its HTTP proxy: then OBS's own host names work without a DNS lookup, and CONNECT ends at the middleware's own TLS
listener, with a test CA in the folder. The keys come as JSON in `ATLASFLOW_OBS_STAND_IN`.

The fault plan's points are `rules.operation`, its actions: `slow-down`, `internal`, `skew` (answers of OBS), `cut` (the
connection ends in the middle of a body), `lost` (the request is executed, its answer dropped), `truncate` and `alter`
(a body that is shorter, or has one wrong byte), `slow` (a delay of one second).
"""

import argparse
import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from botocore.credentials import Credentials
from pydantic import SecretStr

from infra.faults import FaultPlan
from infra.obs.connection import open_connection
from infra.obs.emulator import certificates as tls
from infra.obs.emulator.exchange import Exchange
from infra.obs.emulator.http_streams import BLOCK, close, pump, read_head
from infra.obs.emulator.native import Native
from infra.settings import ObsSettings, RetrySettings

VARIABLE = "ATLASFLOW_OBS_STAND_IN"


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
        keys: of the S3 server; they are also those of clients with OBS's own signature. None: it is not spoken.
        facts: folder for what the S3 server does not keep of buckets.
    """

    upstream: int
    region: str = "cn-north-4"
    path_style: bool = False
    checksums: bool = False
    faults: FaultPlan = field(default_factory=FaultPlan)
    certificates: Path | None = None
    keys: Credentials | None = None
    facts: Path | None = None
    port: int = 0
    tls_port: int = 0
    _connections: set[asyncio.Task[None]] | None = field(default=None, init=False)

    @cached_property
    def native(self) -> Native | None:
        """Operations that only OBS has; None without keys."""
        if self.keys is None or self.facts is None:
            return None
        settings = ObsSettings(
            endpoint=f"http://127.0.0.1:{self.upstream}",
            region=self.region,
            access_key=SecretStr(self.keys.access_key),
            secret_key=SecretStr(self.keys.secret_key),
        )
        s3 = open_connection(settings, FaultPlan(), RetrySettings()).s3
        return Native(s3, self.region, self.facts / f"buckets-{self.region}.json")

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
            while head and await Exchange(self, head, (reader, writer), upstream).run():
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
    parser.add_argument("--facts", type=Path, required=True)
    parser.add_argument("--path-style", action="store_true")
    parser.add_argument("--checksums", action="store_true")
    keys = Credentials(**json.loads(os.environ.pop(VARIABLE)))
    faults = FaultPlan.parse(os.environ.get("ATLASFLOW_FAULTS", ""))
    middleware = Middleware(**vars(parser.parse_args()), faults=faults, keys=keys)
    asyncio.run(_forever(middleware))


if __name__ == "__main__":
    main()
