"""HTTP/1.1 messages on asyncio streams, passed on byte for byte."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping

BLOCK = 64 * 1024


async def read_head(reader: asyncio.StreamReader) -> list[bytes]:
    """Read the lines of a message's head; none at the end of the stream."""
    try:
        return (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    except asyncio.IncompleteReadError:
        return []


def header_fields(head: list[bytes]) -> dict[str, str]:
    """Return the header fields by lower-case name."""
    pairs = (line.decode("latin-1").partition(":") for line in head[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str], length: int) -> AsyncIterator[bytes]:
    """Yield the body as it is on the wire: by length, in chunks with their framing, or (length -1) to the end."""
    if headers.get("transfer-encoding", "").lower() == "chunked" and length <= 0:
        size = -1
        while size != 0:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
        return
    while length != 0:
        block = await reader.read(min(BLOCK, length) if length > 0 else BLOCK)
        if not block:
            return
        length -= len(block) if length > 0 else 0
        yield block


async def whole_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Read a whole body, without the framing of chunks; none when the headers announce none."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length") or 0))
    blocks: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        blocks.append((await reader.readexactly(size + 2))[:-2])
    await reader.readuntil(b"\r\n")
    return b"".join(blocks)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy a stream to its end."""
    while block := await reader.read(BLOCK):
        writer.write(block)
        await writer.drain()
    with contextlib.suppress(OSError):  # the other side has closed already
        writer.write_eof()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a stream, also when its peer is gone."""
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        await writer.wait_closed()
