"""What an answer may be, and how long it may take.

The time-out of a socket starts anew with each byte, so a trickle has none.
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from urllib3.exceptions import HTTPError

from infra.obs.errors import NoStore

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

_BLOCK = 64 * 1024
LEAST_SECONDS = 120.0
LEAST_RATE = 16 * 1024
"""Bytes a second below which a transfer counts as stalled."""


class SlowAnswer(HTTPError):
    """An answer took longer than its limit."""


class Stream(Protocol):
    """The body of a response of urllib3."""

    decode_content: bool

    def read1(self, amt: int | None = None) -> bytes:
        """Return what one read of the socket gives; empty at the end."""
        ...


class LimitedBody:
    """A body that raises `SlowAnswer` once its time is up; everything else is the body's own.

    Args:
        raw: the body.
        length: its bytes; 0 when they are not known.
        clock: seconds.
    """

    def __init__(self, raw: Stream, length: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._raw = raw
        self._clock = clock
        self._limit = LEAST_SECONDS + length / LEAST_RATE
        self._end = clock() + self._limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read(self, amt: int | None = None) -> bytes:
        """Read `amt` bytes, fewer only at the end of the body; None: to its end."""
        blocks: list[bytes] = []
        rest = amt
        while rest is None or rest > 0:
            if self._clock() > self._end:
                raise SlowAnswer(f"the answer took longer than {self._limit:.0f} s")
            block = self._raw.read1(_BLOCK if rest is None else rest)
            if not block:
                break
            blocks.append(block)
            rest = None if rest is None else rest - len(block)
        return b"".join(blocks)

    def stream(self, amt: int = _BLOCK, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body in blocks of `amt` bytes; as `urllib3` does, decoded when asked."""
        if decode_content is not None:
            self._raw.decode_content = decode_content
        while block := self.read(amt):
            yield block


_PAGE = re.compile(rb"<(!doctype\s+)?html[\s>]", re.IGNORECASE)
_HEAD = 500  # bytes in which a page names itself


def _refuse_page(response: "AWSResponse") -> None:
    """Refuse an answer of success that is no XML: boto3 takes it for a failed server, or for an empty result.

    The type alone says nothing: without a body it may be that of an object, and OpenStack Swift calls its XML, too,
    text/html. XML of that type must say that it is XML, and be no XHTML.
    """
    content = response.content.lstrip()
    if response.status_code >= 300 or not content:
        return
    typed = response.headers.get("content-type", "").startswith("text/html")
    if not content.startswith(b"<?xml" if typed else b"<") or _PAGE.search(content[:_HEAD]):
        raise NoStore("a page instead of XML")


class LimitedSession:
    """An HTTP session of botocore whose answers have a limit.

    Args:
        session: the session of a client.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: "AWSPreparedRequest") -> "AWSResponse":
        """Send a request; read the answer at once, unless it is a stream."""
        streamed = request.stream_output
        request.stream_output = True
        response: AWSResponse = self._session.send(request)
        response.raw = LimitedBody(response.raw, int(response.headers.get("content-length") or 0))
        if not streamed:
            _refuse_page(response)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
