"""The client's edges: keys, the project, errors, silence. What it asks otherwise is in test_modelarts_emulator.py."""

import http.server
import json
import ssl
import threading
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.modelarts import plan
from infra.modelarts.client import connect
from infra.modelarts.codes import CLASSES, CODES, meaning
from infra.obs.emulator import certificates
from infra.settings import ObsSettings
from tests.unit.infra.modelarts import doubles

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


@pytest.fixture
def reachable(tmp_path, store):
    with doubles.stand_in(tmp_path / "platform", store) as (_, settings):
        yield settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secret_key": SecretStr("another")}, "signature"),
        ({"access_key": SecretStr("nobody")}, "access key does not exist"),
    ],
)
def test_wrong_keys_are_refused_and_not_shown(reachable, changes, words):
    with doubles.client_for(reachable.model_copy(update=changes)) as client:
        with pytest.raises(Refused, match=words) as caught:
            client.find("x", "0")
        assert "secret_key" in caught.value.hint
        assert "another" not in str(caught.value)


def test_the_keys_of_obs_serve_both(reachable):
    obs = ObsSettings(access_key=reachable.access_key, secret_key=reachable.secret_key)
    settings = reachable.model_copy(update={"access_key": SecretStr(""), "secret_key": SecretStr("")})
    client = connect(settings, obs, emulated=True)
    assert client.find("x", "0") == ()
    client.close()
    with pytest.raises(UserError, match="no keys"):
        connect(settings, ObsSettings(), emulated=True)


@pytest.mark.parametrize("endpoint", ["", "modelarts.example"])
def test_an_end_point_is_an_address(reachable, endpoint):
    with pytest.raises(UserError, match=r"modelarts\.endpoint"):
        connect(reachable.model_copy(update={"endpoint": endpoint}), ObsSettings(), emulated=True)


def test_the_project_of_other_keys_is_refused(reachable):
    with doubles.client_for(reachable.model_copy(update={"project_id": "0" * 32})) as client:
        with pytest.raises(Refused, match=r"ModelArts\.2786") as caught:
            client.find("x", "0")
        assert "project_id" in caught.value.hint


def test_the_project_is_looked_up_by_the_region(reachable):
    settings = reachable.model_copy(update={"project_id": "", "iam_endpoint": reachable.endpoint})
    with doubles.client_for(settings) as client:
        assert client.find("x", "0") == ()


def test_what_stands_in_is_never_taken_for_real(reachable):
    with doubles.client_for(reachable, emulated=False) as client, pytest.raises(Refused, match="stand-in"):
        client.find("x", "0")


def test_nobody_answers(reachable):
    settings = reachable.model_copy(update={"endpoint": "http://127.0.0.1:1"})
    with doubles.client_for(settings) as client, pytest.raises(Transient, match="does not answer"):
        client.find("x", "0")


@pytest.fixture
def saying():
    """A server that answers everything with one thing: `saying(status, body)` gives its address."""
    servers = []

    def make(status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("X-AtlasFlow-Stand-In", "1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST  # noqa: N815 - the name is the library's

            def log_message(self, *args):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield make
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("code", sorted(code for code in CODES if CODES[code].status >= 400))
def test_every_code_ends_in_its_class_with_the_platforms_words(reachable, saying, code):
    known = CODES[code]
    body = json.dumps({"error_msg": "their words", "error_code": f"ModelArts.{code}"}).encode()
    settings = reachable.model_copy(update={"endpoint": saying(known.status, body)})
    words = rf"their words \(ModelArts\.{code}"
    with doubles.client_for(settings) as client, pytest.raises(AtlasFlowError, match=words) as caught:
        client.find("x", "0")
    assert type(caught.value) is CLASSES.get(code, known.kind)
    assert isinstance(caught.value, known.kind)
    assert caught.value.hint == known.hint


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"<html>bad gateway</html>", Transient),
        (503, b"{}", Transient),
        (429, b'{"error_code": "APIG.0308", "error_msg": "throttled"}', Transient),
        (401, b'{"error_code": "APIG.0301", "error_msg": "no"}', Refused),
        (404, b'{"error_code": "APIG.0101", "error_msg": "no such API"}', Refused),
        (400, b'{"error_code": "ModelArts.50004000", "error_msg": "new code"}', Refused),
    ],
)
def test_unknown_codes_are_judged_by_their_status(reachable, saying, status, body, kind):
    settings = reachable.model_copy(update={"endpoint": saying(status, body)})
    with doubles.client_for(settings) as client, pytest.raises(AtlasFlowError) as caught:
        client.find("x", "0")
    assert type(caught.value) is kind


SILENT = [b"<html>hello</html>", b"", b"{}", b'{"items": null}', b'{"items": null, "total": 1}', b'{"items": [{}]}']


@pytest.mark.parametrize("body", SILENT)
def test_an_answer_that_says_nothing_is_not_taken_for_no_jobs(reachable, saying, body):
    settings = reachable.model_copy(update={"endpoint": saying(200, body)})
    with doubles.client_for(settings) as client, pytest.raises(Transient, match="cannot be read"):
        client.find("x", "0")


def test_no_jobs_may_be_said_with_null(reachable, saying):
    settings = reachable.model_copy(update={"endpoint": saying(200, b'{"items": null, "total": 0}')})
    with doubles.client_for(settings) as client:
        assert client.find("x", "0") == ()


def test_a_page_behind_the_last_one_may_be_null(reachable, monkeypatch):
    about = [SimpleNamespace(id=f"{n}", name=f"x-{n}", create_time=1, description="") for n in range(50)]
    items = [SimpleNamespace(metadata=item, status=None, algorithm=None) for item in about]
    pages = [SimpleNamespace(items=items, total=50), SimpleNamespace(items=None, total=50)]
    with doubles.client_for(reachable) as client:
        monkeypatch.setattr(client._client, "list_training_jobs", lambda _request: pages.pop(0))
        assert len(client.find("x", "0")) == 50


def test_a_job_whose_status_is_not_told_is_there_and_not_final(reachable, saying):
    body = json.dumps({"total": 1, "items": [{"kind": "job", "metadata": {"id": "1", "name": "x-1"}}]}).encode()
    with doubles.client_for(reachable.model_copy(update={"endpoint": saying(200, body)})) as client:
        (job,) = client.find("x", "0")
    assert (job.name, job.final, job.tasks) == ("x-1", False, ())


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"obs_url": 1}'])
def test_a_link_that_cannot_be_read(reachable, saying, body):
    settings = reachable.model_copy(update={"endpoint": saying(200, body)})
    with doubles.client_for(settings) as client, pytest.raises(Transient, match="cannot be read"):
        client.log_link("job", "worker-0")


def test_being_asked_to_wait_is_told_in_the_platforms_words_for_every_method(reachable, saying):
    body = b'{"error_code": "APIG.0308", "error_msg": "their words"}'
    with doubles.client_for(reachable.model_copy(update={"endpoint": saying(429, body)})) as client:
        for ask in (lambda: client.show("1"), lambda: client.find("x", "0")):
            with pytest.raises(Transient, match=r"their words \(APIG\.0308"):
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
def test_a_project_that_cannot_be_looked_up(reachable, saying, status, body, kind, words):
    changes = {"project_id": "", "iam_endpoint": saying(status, body), "access_key": SecretStr(f"key-{status}-{words}")}
    with pytest.raises(AtlasFlowError, match=words) as caught:
        connect(reachable.model_copy(update=changes), ObsSettings(), emulated=True)
    assert type(caught.value) is kind
    if kind is not Transient:
        assert "modelarts.project_id" in caught.value.hint


@pytest.mark.parametrize("changed", ["endpoint", "iam_endpoint"])
def test_a_certificate_that_does_not_hold_is_refused(reachable, tmp_path, changed):
    """The test CA of the object store's stand-in is trusted by nobody else."""
    certificate, key = certificates.server_certificate(tmp_path / "tls", "cn-north-4")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    changes = {changed: f"https://127.0.0.1:{server.server_address[1]}"}
    if changed == "iam_endpoint":
        changes |= {"project_id": "", "access_key": SecretStr("key-of-a-certificate")}
    try:
        with (
            pytest.raises(Refused, match="certificate"),
            doubles.client_for(reachable.model_copy(update=changes)) as client,
        ):
            client.find("x", "0")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("change", [{"engine": "absent"}, {"flavor": "absent"}])
def test_what_the_region_has_is_listed_when_it_lacks_something(reachable, job, change):
    settings = reachable.model_copy(update=change)
    place = plan.Place("bucket", "af")
    attempt = plan.Attempt(1, "af/results", resume=False, installation="x")
    with doubles.client_for(settings) as client, pytest.raises(UserError) as caught:
        client.submit(plan.body(job(), attempt, settings, place))
    (name,) = change
    assert {"engine": "mindspore-stand-in-cpu", "flavor": "modelarts.vm.cpu.2u"}[name] in caught.value.hint
    assert f"modelarts.{name}" in caught.value.hint


def test_whether_abnormal_is_final_is_a_setting(reachable, saying):
    body = json.dumps({"metadata": {"id": "1", "name": "x-1"}, "status": {"phase": "Abnormal"}}).encode()
    settings = reachable.model_copy(update={"endpoint": saying(200, body)})
    with doubles.client_for(settings) as client:
        assert client.show("1").final
    with doubles.client_for(settings.model_copy(update={"abnormal_is_final": False})) as client:
        assert not client.show("1").final


def test_codes_of_other_services_are_not_ours():
    assert meaning("APIG.0101", 404).kind is Refused
    assert meaning("ModelArts.0101", 400).kind is UserError
