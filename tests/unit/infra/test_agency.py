"""Keys of a cloud server's agency: of a small metadata service, to the bucket and to ModelArts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest

from infra.agency import fetch
from infra.errors import Refused, Transient, UserError
from infra.faults import NO_FAULTS
from infra.modelarts.connection import open_sdk
from infra.modelarts.keys import RenewedKeys
from infra.obs.connection import open_connection
from infra.settings import ModelArtsSettings, ObsSettings, RetrySettings


@dataclass
class Metadata:
    """A metadata service; `minutes` until the keys end, `token` demanded first, or another `status` with no keys."""

    minutes: float = 60
    token: str = ""
    status: int = 200
    body: bytes = b""
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str, token: str) -> tuple[int, bytes]:
        self.asked.append(f"{method} {path}")
        if path == "/meta-data/latest/api/token":
            return (200, self.token.encode()) if method == "PUT" else (405, b"")
        if self.token and token != self.token:
            return 401, b""
        if self.status != 200 or self.body:
            return self.status, self.body
        ends = (datetime.now(UTC) + timedelta(minutes=self.minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        number = sum(item.endswith("securitykey") for item in self.asked)
        said = {"access": f"AK{number}", "secret": "SK", "securitytoken": "TOKEN", "expires_at": ends}
        return 200, json.dumps({"credential": said}).encode()


@contextmanager
def serving(service: Metadata) -> Iterator[Metadata]:
    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            status, body = service.answer(self.command, self.path, self.headers.get("X-Metadata-Token", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = reply  # noqa: N815 - the names are the library's

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    service.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("token", ["", "of-this-server"])
def test_keys_are_given_with_and_without_a_token(token: str) -> None:
    with serving(Metadata(token=token)) as service:
        keys = fetch(service.address)
    assert (keys.access[:2], keys.secret, keys.token) == ("AK", "SK", "TOKEN")


@pytest.mark.parametrize(
    ("service", "error", "words"),
    [
        (Metadata(status=404), Refused, "gives no keys: 404"),
        (Metadata(status=503), Transient, "answers 503"),
        (Metadata(body=b"<html>"), Refused, "unusable answer"),
        (Metadata(body=b'{"credential": {"access": ""}}'), Refused, "unusable answer"),
    ],
)
def test_a_server_without_an_agency_says_so(service: Metadata, error: type[Exception], words: str) -> None:
    with serving(service), pytest.raises(error, match=words):
        fetch(service.address)


def test_elsewhere_there_is_no_such_service() -> None:
    with serving(Metadata()) as service:
        pass
    with pytest.raises(Transient, match="does not answer"):
        fetch(service.address)
    with pytest.raises(UserError, match=r"obs\.agency"):
        fetch("169.254.169.254")


def test_the_bucket_s_client_takes_new_keys_before_the_old_ones_end() -> None:
    with serving(Metadata(minutes=5)) as service:
        settings = ObsSettings(endpoint="http://127.0.0.1:9", agency=service.address)
        client = open_connection(settings, NO_FAULTS, RetrySettings()).s3
        first = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
        second = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    assert "X-Amz-Security-Token=TOKEN" in first
    assert "Credential=AK1%2F" not in second
    assert len(service.asked) > 2


def test_modelarts_takes_keys_of_the_agency_and_new_ones() -> None:
    with serving(Metadata()) as service:
        settings = ModelArtsSettings(endpoint="http://127.0.0.1:9", project_id="p")
        _, keys = open_sdk(settings, ObsSettings(agency=service.address), lambda *_: None)
        assert (keys.credentials.ak, keys.credentials.security_token) == ("AK1", "TOKEN")
        assert keys.renew()
        assert keys.credentials.ak == "AK2"
    assert RenewedKeys(SimpleNamespace(ak="", sk="", security_token=""), "obs").renew() is False
