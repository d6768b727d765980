import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from infra.errors import Corrupt, Refused, Transient, UserError
from infra.faults import Fault, FaultPlan
from infra.fetch import CHUNK, fetch, shown

BODY = np.random.default_rng(7).bytes(3 * CHUNK + 17)
DIGEST = sha256(BODY).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Answers `/file`, with ranges, and `/cut`, which breaks off in the middle of the body."""

    requests: ClassVar[list[tuple[str, str | None]]]

    def do_GET(self) -> None:
        self.requests.append((self.path, self.headers.get("Range")))
        if self.path in ("/404", "/503"):
            self.send_error(int(self.path[1:]))
            return
        start = int(self.headers["Range"][6:-1]) if self.headers.get("Range") and self.path != "/no-ranges" else 0
        if start >= len(BODY):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        end = len(BODY) // 2 if self.path == "/cut" else len(BODY)
        self.wfile.write(BODY[start:end])

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    class Handler(Server):
        requests: ClassVar[list[tuple[str, str | None]]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield SimpleNamespace(address=f"http://127.0.0.1:{running.server_address[1]}", requests=Handler.requests)
        running.shutdown()
        thread.join()


def nothing(done: Any, total: Any) -> None:
    pass


def test_it_fetches_and_tells_how_far_it_is(server: Any, tmp_path: Path) -> None:
    seen = []
    fetch([f"{server.address}/file"], tmp_path / "file", DIGEST, lambda done, total: seen.append((done, total)))
    assert (tmp_path / "file").read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))


def test_it_continues_where_it_broke_off(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BODY[:1000])
    fetch([f"{server.address}/file"], tmp_path / "file", DIGEST, nothing)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requests == [("/file", "bytes=1000-")]


def test_it_starts_again_when_the_server_knows_no_ranges(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    fetch([f"{server.address}/no-ranges"], tmp_path / "file", DIGEST, nothing)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_whole_file_is_not_fetched_again(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BODY)
    fetch([f"{server.address}/file"], tmp_path / "file", DIGEST, nothing)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_cut_connection_is_transient_and_the_next_try_continues(server: Any, tmp_path: Path) -> None:
    with pytest.raises(Transient, match="was interrupted"):
        fetch([f"{server.address}/cut"], tmp_path / "file", DIGEST, nothing)
    kept = (tmp_path / "file").stat().st_size
    assert 0 < kept < len(BODY)
    fetch([f"{server.address}/file"], tmp_path / "file", DIGEST, nothing)
    assert server.requests[-1] == ("/file", f"bytes={kept}-")


def test_a_mirror_steps_in(server: Any, tmp_path: Path) -> None:
    addresses = [f"{server.address}/404", f"{server.address}/503", f"{server.address}/file"]
    fetch(addresses, tmp_path / "file", DIGEST, nothing)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_wrong_digest_leaves_nothing_behind(server: Any, tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match=DIGEST):
        fetch([f"{server.address}/file"], tmp_path / "file", "0" * 64, nothing)
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(("path", "kind"), [("404", Refused), ("503", Transient)])
def test_an_answer_that_is_no_file_has_its_class(server: Any, tmp_path: Path, path: str, kind: Any) -> None:
    with pytest.raises(kind, match=path):
        fetch([f"{server.address}/{path}"], tmp_path / "file", DIGEST, nothing)


def test_when_all_fail_each_is_named(server: Any, tmp_path: Path) -> None:
    with pytest.raises(Transient, match=r"(?s)/404 answered 404.*/503 answered 503"):
        fetch([f"{server.address}/404", f"{server.address}/503"], tmp_path / "file", DIGEST, nothing)


def test_a_refused_connection_is_transient(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="was interrupted"):
        fetch(["http://127.0.0.1:9/file"], tmp_path / "file", DIGEST, nothing)


def test_a_local_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(BODY)
    fetch([(tmp_path / "a file").as_uri()], tmp_path / "copy", DIGEST, nothing)
    assert (tmp_path / "copy").read_bytes() == BODY


@pytest.mark.parametrize("place", ["{0}/a file", "a file", "~/a file"])
def test_a_path_is_an_address_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a file").write_bytes(BODY)
    fetch([place.format(tmp_path)], tmp_path / "copy", DIGEST, nothing)
    assert (tmp_path / "copy").read_bytes() == BODY
    with pytest.raises(Corrupt, match="a file"):
        fetch([place.format(tmp_path)], tmp_path / "copy", "0" * 64, nothing)


@pytest.mark.parametrize("address", ["file:///absent", "ftp://127.0.0.1/file", "nonsense"])
def test_addresses_that_cannot_work_are_the_users(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError):
        fetch([address], tmp_path / "file", DIGEST, nothing)


def test_a_full_disk_is_not_taken_for_a_broken_connection(server: Any, tmp_path: Path) -> None:
    faults = FaultPlan([Fault("full", "fetch.chunk", 2)])
    with pytest.raises(OSError, match="No space left"):
        fetch([f"{server.address}/file"], tmp_path / "file", DIGEST, nothing, faults)


def test_what_people_see_of_an_address_holds_no_key() -> None:
    address = "https://me:word@host:8443/x/y.tar.gz?X-Amz-Signature=abc"
    assert shown(address) == "https://host:8443/x/y.tar.gz"
    for plain in ("sample", "obs://bucket/key", "file:///a/b.tar.gz"):
        assert shown(plain) == plain
