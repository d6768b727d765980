"""The client's edge cases: keys, the project, errors, unusable responses."""

import http.server
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

import pytest
from pydantic import SecretStr

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.modelarts import plan
from infra.modelarts.client import ModelArts, connect
from infra.modelarts.codes import CODES, STAND_IN_HEADER, Unauthorised, meaning
from infra.modelarts.connection import OriginCheck
from infra.modelarts.phases import FINAL_PHASES
from infra.obs.emulator import certificates
from infra.settings import ModelArtsSettings, ObsSettings
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeJob
from tests.unit.infra.modelarts.jobs import PATHS, numbered

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


@pytest.fixture
def reachable(tmp_path: Path, store: doubles.FolderStore) -> Iterator[ModelArtsSettings]:
    """Settings that reach a stand-in."""
    with doubles.stand_in(tmp_path / "platform", store) as (_, settings):
        yield settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secret_key": SecretStr("another")}, "signature"),
        ({"access_key": SecretStr("nobody")}, "access key does not exist"),
    ],
)
def test_wrong_keys_are_refused_and_not_shown(
    reachable: ModelArtsSettings, changes: dict[str, object], words: str
) -> None:
    with doubles.client_for(reachable.model_copy(update=changes)) as client:
        with pytest.raises(Refused, match=words) as caught:
            client.find("x", "0")
        assert "secret_key" in caught.value.hint
        assert "another" not in str(caught.value)


def test_the_keys_of_obs_work_for_both(reachable: ModelArtsSettings) -> None:
    obs = ObsSettings(access_key=reachable.access_key, secret_key=reachable.secret_key)
    settings = reachable.model_copy(update={"access_key": SecretStr(""), "secret_key": SecretStr("")})
    client = connect(settings, obs, emulated=True)
    assert client.find("x", "0") == ()
    client.close()
    with pytest.raises(UserError, match="keys for ModelArts are not set"):
        connect(settings, ObsSettings(), emulated=True)


@pytest.mark.parametrize("endpoint", ["", "modelarts.example"])
def test_an_endpoint_is_a_url(reachable: ModelArtsSettings, endpoint: str) -> None:
    with pytest.raises(UserError, match=r"modelarts\.endpoint"):
        connect(reachable.model_copy(update={"endpoint": endpoint}), ObsSettings(), emulated=True)


def test_a_project_of_other_keys_is_refused(reachable: ModelArtsSettings) -> None:
    with doubles.client_for(reachable.model_copy(update={"project_id": "0" * 32})) as client:
        with pytest.raises(Refused, match=r"ModelArts\.2786") as caught:
            client.find("x", "0")
        assert "project_id" in caught.value.hint


def test_a_missing_project_id_is_looked_up_by_the_region(reachable: ModelArtsSettings) -> None:
    settings = reachable.model_copy(update={"project_id": "", "iam_endpoint": reachable.endpoint})
    with doubles.client_for(settings) as client:
        assert client.find("x", "0") == ()


def test_a_stand_in_never_passes_for_real(reachable: ModelArtsSettings) -> None:
    with doubles.client_for(reachable, emulated=False) as client, pytest.raises(Refused, match="stand-in"):
        client.find("x", "0")


def test_a_closed_port_is_transient(reachable: ModelArtsSettings) -> None:
    settings = reachable.model_copy(update={"endpoint": "http://127.0.0.1:1"})
    with doubles.client_for(settings) as client, pytest.raises(Transient, match="does not answer"):
        client.find("x", "0")


class Serve(Protocol):
    """Starts a server that answers every request alike; returns its URL."""

    def __call__(self, status: int, body: bytes, **headers: str) -> str: ...


def handler_for(status: int, body: bytes, headers: Mapping[str, str]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header(STAND_IN_HEADER, "1")
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the name is the library's

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serve(server: http.server.HTTPServer) -> Iterator[int]:
    """Serve in a thread; yield the port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def serving() -> Iterator[Serve]:
    """A server that answers every request alike: `serving(status, body)` returns its URL."""
    with ExitStack() as stack:

        def make(status: int, body: bytes, **headers: str) -> str:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            server = http.server.HTTPServer(("127.0.0.1", 0), handler_for(status, body, named))
            return f"http://127.0.0.1:{stack.enter_context(serve(server))}"

        yield make


@pytest.mark.parametrize("code", sorted(code for code in CODES if CODES[code].status >= 400))
def test_each_code_has_its_class_and_the_platforms_message(
    reachable: ModelArtsSettings, serving: Serve, code: str
) -> None:
    known = CODES[code]
    body = json.dumps({"error_msg": "their message", "error_code": f"ModelArts.{code}"}).encode()
    settings = reachable.model_copy(update={"endpoint": serving(known.status, body)})
    message = rf"their message \(ModelArts\.{code}"
    with doubles.client_for(settings) as client, pytest.raises(AtlasFlowError, match=message) as caught:
        client.find("x", "0")
    assert type(caught.value) is known.error_class
    assert caught.value.hint == known.hint


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"<html>bad gateway</html>", Transient),
        (503, b"{}", Transient),
        (429, b'{"error_code": "APIG.0308", "error_msg": "throttled"}', Transient),
        (401, b'{"error_code": "APIG.0301", "error_msg": "no"}', Unauthorised),
        (404, b'{"error_code": "APIG.0101", "error_msg": "no such API"}', Refused),
        (400, b'{"error_code": "ModelArts.50004000", "error_msg": "new code"}', Refused),
    ],
)
def test_unknown_codes_are_classified_by_their_status(
    reachable: ModelArtsSettings, serving: Serve, status: int, body: bytes, kind: type[AtlasFlowError]
) -> None:
    settings = reachable.model_copy(update={"endpoint": serving(status, body)})
    with doubles.client_for(settings) as client, pytest.raises(AtlasFlowError) as caught:
        client.find("x", "0")
    assert type(caught.value) is kind


UNUSABLE = [b"<html>hello</html>", b"", b"{}", b'{"items": null}', b'{"items": null, "total": 1}', b'{"items": [{}]}']


@pytest.mark.parametrize("body", UNUSABLE)
def test_an_unusable_response_does_not_mean_no_jobs(reachable: ModelArtsSettings, serving: Serve, body: bytes) -> None:
    settings = reachable.model_copy(update={"endpoint": serving(200, body)})
    with doubles.client_for(settings) as client, pytest.raises(Transient, match="cannot be read"):
        client.find("x", "0")


GOOD_JOB = {"kind": "job", "metadata": {"id": "1", "name": "x-1"}, "status": {"phase": "Running", "duration": 1}}
STRANGE = [
    {"status": {"duration": "x"}},
    {"status": {"phase": "Running", "task_statuses": 7}},
    {"status": {"tasks": 7}},
    {"status": 7},
    {"algorithm": {"outputs": [7]}},
    {"metadata": {"id": "1", "name": "x-1", "create_time": "yesterday"}},
]


@pytest.mark.filterwarnings("ignore:Type error occurred:UserWarning")
@pytest.mark.parametrize("change", STRANGE, ids=str)
def test_a_type_that_the_sdk_does_not_expect_is_no_traceback(
    reachable: ModelArtsSettings, serving: Serve, change: dict[str, object]
) -> None:
    """Either the SDK copes with it, or it is an unreadable response, of which nothing is concluded."""
    body = json.dumps({**GOOD_JOB, **change}).encode()
    with doubles.client_for(reachable.model_copy(update={"endpoint": serving(200, body)})) as client:
        for ask in (client.show, client.configuration):
            with suppress(Transient):
                ask("1")


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_refused(reachable: ModelArtsSettings, serving: Serve, status: int) -> None:
    endpoint = serving(status, b"<html>", Location="https://login.example/page?token=secret")
    with (
        doubles.client_for(reachable.model_copy(update={"endpoint": endpoint})) as client,
        pytest.raises(Refused, match=r"redirects \(\d+\) to https://login.example/page\n"),
    ):
        client.find("x", "0")


def test_a_request_to_wait_is_in_the_error(reachable: ModelArtsSettings, serving: Serve) -> None:
    settings = reachable.model_copy(update={"endpoint": serving(429, b"{}", Retry_After="19")})
    with doubles.client_for(settings) as client, pytest.raises(Transient) as caught:
        client.find("x", "0")
    assert caught.value.after == 19


def test_null_items_with_total_0_means_no_jobs(reachable: ModelArtsSettings, serving: Serve) -> None:
    settings = reachable.model_copy(update={"endpoint": serving(200, b'{"items": null, "total": 0}')})
    with doubles.client_for(settings) as client:
        assert client.find("x", "0") == ()


def test_a_page_after_the_last_one_may_be_null() -> None:
    metadata = [SimpleNamespace(id=f"{n}", name=f"x-{n}", create_time=1, description="") for n in range(50)]
    items = [SimpleNamespace(metadata=item, status=None, algorithm=None) for item in metadata]
    pages = [SimpleNamespace(items=items, total=50), SimpleNamespace(items=None, total=50)]
    sdk_client = SimpleNamespace(list_training_jobs=lambda _request: pages.pop(0))
    client = ModelArts(sdk_client, OriginCheck(emulated=True), FINAL_PHASES)
    assert len(client.find("x", "0")) == 50


def test_a_job_without_status_exists_and_is_not_final(reachable: ModelArtsSettings, serving: Serve) -> None:
    body = json.dumps({"total": 1, "items": [{"kind": "job", "metadata": {"id": "1", "name": "x-1"}}]}).encode()
    with doubles.client_for(reachable.model_copy(update={"endpoint": serving(200, body)})) as client:
        (job,) = client.find("x", "0")
    assert (job.name, job.final, job.tasks) == ("x-1", False, ())


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"obs_url": 1}'])
def test_an_unreadable_link_is_transient(reachable: ModelArtsSettings, serving: Serve, body: bytes) -> None:
    settings = reachable.model_copy(update={"endpoint": serving(200, body)})
    with doubles.client_for(settings) as client, pytest.raises(Transient, match="cannot be read"):
        client.log_link("job", "worker-0")


def test_throttling_keeps_the_platforms_message_for_each_method(reachable: ModelArtsSettings, serving: Serve) -> None:
    body = b'{"error_code": "APIG.0308", "error_msg": "their message"}'
    with doubles.client_for(reachable.model_copy(update={"endpoint": serving(429, body)})) as client:
        for ask in (lambda: client.show("1"), lambda: client.find("x", "0")):
            with pytest.raises(Transient, match=r"their message \(APIG\.0308"):
                ask()


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b'{"error": {"code": 401, "message": "wrong key", "title": "Unauthorized"}}', Refused, "wrong key"),
        (403, b'{"error_code": "APIGW.0301", "error_msg": "bad signature"}', Refused, "bad signature"),
        (200, b'{"projects": []}', UserError, "exists in your account"),
        (200, b'{"projects": [{"id": "1"}, {"id": "2"}]}', UserError, "1,2"),
        (503, b"busy", Transient, "busy"),
        (200, b"<html>log in</html>", Transient, "cannot be read"),
        (200, b"[]", Transient, "cannot be read"),
        (200, b'{"projects": [{}]}', Transient, "cannot be read"),
    ],
)
def test_a_failed_project_lookup(
    reachable: ModelArtsSettings, serving: Serve, status: int, body: bytes, kind: type[AtlasFlowError], words: str
) -> None:
    changes = {
        "project_id": "",
        "iam_endpoint": serving(status, body),
        "access_key": SecretStr(f"key-{status}-{words}"),
    }
    with pytest.raises(AtlasFlowError, match=words) as caught:
        connect(reachable.model_copy(update=changes), ObsSettings(), emulated=True)
    assert type(caught.value) is kind
    if kind is not Transient:
        assert "modelarts.project_id" in caught.value.hint


@pytest.mark.parametrize("changed", ["endpoint", "iam_endpoint"])
def test_an_untrusted_certificate_is_refused(reachable: ModelArtsSettings, tmp_path: Path, changed: str) -> None:
    """Only clients of the emulated object store trust its test CA."""
    certificate, key = certificates.server_certificate(tmp_path / "tls", "cn-north-4")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class SilentServer(http.server.HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = SilentServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serve(server) as port:
        changes: dict[str, object] = {changed: f"https://127.0.0.1:{port}"}
        if changed == "iam_endpoint":
            changes |= {"project_id": "", "access_key": SecretStr("key-of-a-certificate")}
        with (
            pytest.raises(Refused, match="certificate"),
            doubles.client_for(reachable.model_copy(update=changes)) as client,
        ):
            client.find("x", "0")


@pytest.mark.parametrize("change", [{"engine": "absent"}, {"flavor": "absent"}])
def test_the_offers_of_the_region_are_in_the_hint(
    reachable: ModelArtsSettings, job: MakeJob, change: dict[str, str]
) -> None:
    settings = reachable.model_copy(update=change)
    with doubles.client_for(settings) as client, pytest.raises(UserError) as caught:
        client.submit(plan.body(job(), numbered(1), settings, PATHS))
    (name,) = change
    assert {"engine": "mindspore-stand-in-cpu", "flavor": "modelarts.vm.cpu.2u"}[name] in caught.value.hint
    assert f"modelarts.{name}" in caught.value.hint


def test_whether_abnormal_is_final_is_a_setting(reachable: ModelArtsSettings, serving: Serve) -> None:
    body = json.dumps({"metadata": {"id": "1", "name": "x-1"}, "status": {"phase": "Abnormal"}}).encode()
    settings = reachable.model_copy(update={"endpoint": serving(200, body)})
    with doubles.client_for(settings) as client:
        assert client.show("1").final
    with doubles.client_for(settings.model_copy(update={"abnormal_is_final": False})) as client:
        assert not client.show("1").final


def test_codes_of_other_services_are_classified_by_their_status() -> None:
    assert meaning("APIG.0101", 404).error_class is Refused
    assert meaning("ModelArts.0101", 400).error_class is UserError


def test_platform_and_bucket_are_in_one_region(reachable: ModelArtsSettings) -> None:
    settings = reachable.model_copy(update={"endpoint": "https://modelarts.eu-west-101.myhuaweicloud.eu"})
    obs = ObsSettings(endpoint="https://obs.cn-north-4.myhuaweicloud.com")
    with pytest.raises(UserError, match=r"in eu-west-101 but obs\.endpoint in cn-north-4"):
        connect(settings, obs, emulated=False)


def test_a_proxy_is_asked(reachable: ModelArtsSettings, serving: Serve) -> None:
    proxy = serving(200, b'{"items": null, "total": 0}')
    settings = reachable.model_copy(update={"endpoint": "http://modelarts.test", "proxy": proxy})
    with doubles.client_for(settings) as client:
        assert client.find("x", "0") == ()
    with pytest.raises(UserError, match=r"modelarts\.proxy"):
        connect(settings.model_copy(update={"proxy": "proxy:3128"}), ObsSettings(), emulated=True)


@pytest.mark.parametrize("group", ["modelarts", "obs"])
def test_keys_that_were_renewed_in_the_secret_files_are_taken(
    reachable: ModelArtsSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    old = {"access_key": SecretStr("expired"), "secret_key": SecretStr("expired")}
    none = {"access_key": SecretStr(""), "secret_key": SecretStr("")}
    settings = reachable.model_copy(update=old if group == "modelarts" else none)
    client = connect(settings, ObsSettings(**old), emulated=True)
    with pytest.raises(Refused):
        client.find("x", "0")
    monkeypatch.setenv("ATLASFLOW_SECRETS_DIR", str(tmp_path))
    with pytest.raises(Refused):
        client.find("x", "0")
    (tmp_path / f"{group}__access_key").write_text(f"{doubles.ACCOUNT.access_key}\n")
    (tmp_path / f"{group}__secret_key").write_text(doubles.ACCOUNT.secret_key)
    assert client.find("x", "0") == ()
    client.close()
