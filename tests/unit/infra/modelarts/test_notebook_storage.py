"""The request for Sync OBS, answered by a server of this test."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from infra.errors import Refused, Transient, UserError
from infra.modelarts.notebook_storage import Synced, sync
from infra.modelarts.notebooks import Notebook
from infra.modelarts.phases import NotebookStatus

FOUND = {"fetched": ["a.txt"], "repaired": [], "kept": ["b.txt"]}


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a Jupyter with the token `right`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            known = (self.path, self.headers["Authorization"]) == ("/obs/sync", "token right")
            body = json.dumps(FOUND if known else {"message": "this notebook has a disk", "hint": "h"}).encode()
            self.send_response(200 if known else 409)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/lab?token="
        server.shutdown()
        thread.join()


def notebook(url: str, status: NotebookStatus = NotebookStatus.RUNNING) -> Notebook:
    return Notebook("1", "lesson-1", status, "f", "i", url, None, "")


def test_what_was_done_is_told(url: str) -> None:
    assert sync(notebook(f"{url}right")) == Synced(("a.txt",), (), ("b.txt",))


def test_a_refusal_is_told(url: str) -> None:
    with pytest.raises(Refused, match="lesson-1: this notebook has a disk"):
        sync(notebook(f"{url}wrong"))


def test_instances_that_cannot_synchronise() -> None:
    with pytest.raises(UserError, match="is STOPPED"):
        sync(notebook("", NotebookStatus.STOPPED))
    with pytest.raises(UserError, match="no Jupyter runs behind"):
        sync(notebook("https://authoring-modelarts.invalid/1/lab"))
    with pytest.raises(Transient, match="does not answer"):
        sync(notebook("http://127.0.0.1:1/lab?token=right"))
