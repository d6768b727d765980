"""The client's edges: keys, the project, errors, silence. What it asks otherwise is in test_modelarts_emulator.py."""

import http.server
import json
import threading

import pytest
from pydantic import SecretStr

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.settings import ObsSettings
from infra.training.modelarts_client import connect
from infra.training.modelarts_codes import CODES, DuplicateName, JobMissing, meaning
from tests.unit.infra.training import doubles

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
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("X-AtlasFlow-Stand-In", "1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

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
    assert type(caught.value) is {"2751": DuplicateName, "2775": JobMissing}.get(code, known.kind)
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


def test_codes_of_other_services_are_not_ours():
    assert meaning("APIG.0101", 404).kind is Refused
    assert meaning("ModelArts.0101", 400).kind is UserError
