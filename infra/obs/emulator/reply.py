"""A whole answer of the stand-in, in either dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.obs.emulator.signature import Dialect


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, dialect: Dialect) -> bytes:
        """Return it as bytes; the connection stays open."""
        kind = "application/json" if self.body[:1] == b"{" else "application/xml"
        lines = [
            f"HTTP/1.1 {self.status} OK",
            "Server: OBS-stand-in",
            f"{dialect.prefix}request-id: 0000000000000000STANDIN",
            *([f"Content-Type: {kind}"] if self.body else []),
            *(f"{name}: {value}" for name, value in self.headers.items()),
            *([] if self.status == 204 else [f"Content-Length: {len(self.body)}"]),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


def xml(text: str) -> Reply:
    """A reply with a document of XML, given without its declaration."""
    return Reply(200, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{text}'.encode())
