"""A small S3 server of another make: path style, no authentication, and answers that a test replaces."""

import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import SecretStr

from infra.obs.client import ObsClient, connect
from infra.settings import ObsSettings, RetrySettings

META = "x-amz-meta-"
PORTAL = b"<html><body>log in</body></html>"


@dataclass(frozen=True)
class Request:
    """A request: method, key, and query."""

    method: str
    key: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """An answer that replaces the server's own."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def portal() -> Answer:
    """The page of a captive portal, which answers everything with 200."""
    return Answer(200, PORTAL, {"Content-Type": "text/html"})


def error(status: int, code: str, message: str = "") -> Answer:
    """An error in S3's form."""
    return Answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


Hook = Callable[[Request], Answer | None]


@dataclass
class Foreign:
    """The server.

    Attributes:
        hook: may replace an answer.
        first_version: ignore `list-type=2`, as servers without the second version of listings do.
        markers: honour markers.
        page: keys of a page.
    """

    hook: Hook = lambda _request: None
    first_version: bool = False
    markers: bool = True
    page: int = 3
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    port: int = 0

    def client(self) -> ObsClient:
        """A client of the bucket, with quick retries."""
        settings = ObsSettings(
            endpoint=f"http://127.0.0.1:{self.port}",
            access_key=SecretStr("a"),
            secret_key=SecretStr("b"),
            bucket="bucket",
        )
        return connect(settings, retry=RetrySettings(attempts=2, seconds=0.001))

    def answer(self, request: Request, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request."""
        replaced = self.hook(request)
        if replaced is not None:
            return replaced
        if request.method == "PUT":
            meta = {name: value for name, value in headers.items() if name.lower().startswith(META)}
            self.objects[request.key] = (body, meta)
            return Answer(200, b"", {"ETag": _tag(body)})
        if request.method == "POST":
            for name in re.findall(rb"<Key>(.*?)</Key>", body):
                self.objects.pop(name.decode(), None)
            return Answer(200, b"<DeleteResult/>")
        if not request.key:
            return Answer(200, b"" if request.method == "HEAD" else self._listing(request.query))
        if request.key not in self.objects:
            return error(404, "NoSuchKey")
        data, meta = self.objects[request.key]
        return Answer(200, data, {"ETag": _tag(data), **meta})

    def _listing(self, query: Mapping[str, str]) -> bytes:
        second = "list-type" in query and not self.first_version
        after = query.get("continuation-token" if second else "marker", "") if self.markers else ""
        names = sorted(name for name in self.objects if name.startswith(query.get("prefix", "")) and name > after)
        page = names[: self.page]
        items = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(self.objects[name][0])}</Size>"
            f"<ETag>&quot;{_tag(self.objects[name][0])[1:-1]}&quot;</ETag></Contents>"
            for name in page
        )
        more = len(names) > len(page)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more and second else ""
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        ).encode()


def _tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


@contextmanager
def serve(foreign: Foreign) -> Iterator[Foreign]:
    """Run the server in a thread."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            key = unquote(parts.path).lstrip("/").partition("/")[2]
            answer = foreign.answer(Request(self.command, key, query), dict(self.headers.items()), body)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve  # noqa: N815 - the names are the library's

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    foreign.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield foreign
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
