"""The stand-in's checks on requests, and its responses about jobs."""

import copy
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from pathlib import Path
from typing import Any

import huaweicloudsdkmodelarts.v1 as sdk
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException

from infra.errors import Refused, UserError
from infra.modelarts import plan
from infra.modelarts.client import ModelArts
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeBody, StandIn
from tests.unit.infra.modelarts.jobs import KEY

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


WRONG: list[tuple[str, list[str | int], object]] = [
    ("2788", ["kind"], "hetero_job"),
    ("2788", ["metadata"], None),
    ("0104", ["metadata", "name"], "a b"),
    ("0104", ["metadata", "name"], "x" * 65),
    ("0102", ["metadata", "workspace_id"], "7"),
    ("2780", ["algorithm", "engine", "engine_id"], "absent"),
    ("2763", ["spec", "resource", "flavor_id"], ""),
    ("2781", ["spec", "resource", "flavor_id"], "absent"),
    ("2793", ["spec", "resource", "node_count"], 2),
    ("0104", ["spec", "resource", "node_count"], "two"),
    ("2780", ["algorithm", "engine"], {"engine_id": "mindspore"}),
    ("0104", ["spec", "auto_stop"], 24),
    ("0104", ["spec", "auto_stop", "time_unit"], "DAYS"),
    ("2753", ["algorithm", "inputs", 0, "name"], ""),
    ("2753", ["algorithm", "inputs", 0, "name"], "train_url"),
    ("2791", ["algorithm", "outputs", 0, "remote", "obs", "obs_url"], "ftp://x"),
    ("2767", ["algorithm", "parameters"], [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]),
    ("2765", ["algorithm", "parameters"], [{"name": "a", "value": 1}]),
    ("0104", ["algorithm", "environments"], {"1A": "x"}),
    ("0104", ["algorithm", "environments"], {"A": "x" * 4097}),
    ("0104", ["algorithm", "environments"], {f"A{number}": "x" for number in range(101)}),
    ("2757", ["algorithm", "code_dir"], "obs://bucket/af"),
    ("2758", ["algorithm", "boot_file"], "obs://bucket/af/code/1/models/absent.py"),
    ("2792", ["algorithm", "boot_file"], "obs://bucket/af/data/1/x.py"),
]


@pytest.mark.parametrize(("code", "path", "value"), WRONG, ids=lambda value: str(value)[:30])
def test_invalid_jobs_are_refused_with_the_platforms_code(
    client: ModelArts, body: MakeBody, code: str, path: list[str | int], value: object
) -> None:
    made = copy.deepcopy(body())
    if code == "2757":  # an empty folder: nothing lies under it
        made["algorithm"] |= {"code_dir": "obs://bucket/empty/", "boot_file": "obs://bucket/empty/main.py"}
    else:
        inner: Any = made
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value
    with pytest.raises((UserError, Refused), match=rf"ModelArts\.{code}") as caught:
        client.submit(made)
    assert caught.value.hint
    assert not client.find("", "0")


def test_names_are_unique(client: ModelArts, body: MakeBody) -> None:
    client.submit(body())
    with pytest.raises(Refused, match=r"ModelArts\.2751"):
        client.submit(body())
    names = [sdk.ValidateTrainingJobNameRequest(job_name=name) for name in (plan.name(KEY, 1), "new")]
    found = [client.call("check", methodcaller("validate_training_job_name", name)) for name in names]
    assert [answer.is_duplicate for answer in found] == [True, False]


def test_a_missing_job_is_http_400(client: ModelArts) -> None:
    for ask in (client.show, client.stop, client.delete, client.events):
        with pytest.raises(Refused, match=r"ModelArts\.2775"):
            ask("absent")
    with pytest.raises(Refused) as caught:
        client.show("absent")
    assert isinstance(caught.value.__cause__, ServiceResponseException)
    assert (caught.value.__cause__.status_code, bool(caught.value.__cause__.request_id)) == (400, True)


def test_a_search_has_pages(tmp_path: Path, store: doubles.FolderStore, body: MakeBody) -> None:
    options = doubles.QUICK.model_copy(update={"slots": 16, "creating_seconds": 60})
    with doubles.stand_in(tmp_path, store, options) as (_, settings), doubles.client_for(settings) as client:
        for attempt in range(1, 54):
            client.submit(body(attempt=attempt))
        assert [plan.attempt_number(job.name) for job in client.find("atlasflow-", "0")] == list(range(53, 0, -1))


def test_a_search_by_time(client: ModelArts, body: MakeBody) -> None:
    job = client.submit(body())

    def found(*values: str, operator: str = "between") -> int:
        search = sdk.JobSearches(filters=[sdk.Filter(key="create_time", operator=operator, value=list(values))])
        request = sdk.ListTrainingJobsRequest(body=search)
        return int(client.call("search", lambda call: call.list_training_jobs(request)).total)

    at = job.created_ms
    assert found(str(at - 1000), str(at + 1000)) == 1
    assert found(str(at + 1000), str(at + 2000)) == 0
    with pytest.raises(UserError, match=r"ModelArts\.2809"):
        found("yesterday", "today")
    with pytest.raises(UserError, match=r"ModelArts\.2808"):
        found(str(at), operator="like")


def test_descriptions_can_be_changed(client: ModelArts, body: MakeBody) -> None:
    identity = client.submit(body()).id
    client.describe(identity, "mine")
    assert client.show(identity).description == "mine"
    assert client.find("atlasflow-", "0")[0].description == "mine"


def send(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, str]:
    """Send a request without the SDK; return status and error code."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}").get("error_code", "")
    finally:
        connection.close()


SIGNED = "SDK-HMAC-SHA256 Access=test-access, SignedHeaders=host;x-sdk-date, Signature=" + "0" * 64


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "0204"),
        ({"Authorization": "AWS4 x"}, 401, "0205"),
        ({"Authorization": SIGNED}, 401, "0205"),
        ({"Authorization": SIGNED, "X-Sdk-Date": "yesterday"}, 401, "0205"),
        ({"Authorization": SIGNED, "X-Sdk-Date": "20200101T000000Z"}, 401, "0202"),
        ({"Authorization": SIGNED.replace("host;", ""), "X-Sdk-Date": "now"}, 401, "0205"),
        ({"Authorization": SIGNED, "X-Sdk-Date": "now"}, 403, "0206"),
        ({"Authorization": SIGNED.replace("test-access", "other"), "X-Sdk-Date": "now"}, 403, "0206"),
    ],
)
def test_requests_without_a_valid_signature_are_refused(
    running: StandIn, headers: dict[str, str], status: int, code: str
) -> None:
    now = datetime.now(UTC) + timedelta(seconds=1)
    sent = {name: now.strftime("%Y%m%dT%H%M%SZ") if value == "now" else value for name, value in headers.items()}
    path = f"/v2/{doubles.ACCOUNT.project}/training-job-engines"
    assert send(running.port, "GET", path, sent) == (status, f"ModelArts.{code}")


@dataclass(frozen=True)
class Signed:
    """A request that the SDK has signed."""

    headers: dict[str, str]
    uri: str
    body: bytes


@pytest.fixture
def sign(client: ModelArts) -> Callable[[Callable[[ModelArts], object]], Signed]:
    """Let the SDK sign and send a request; return the last one."""
    signed: list[Signed] = []

    def keep(request: Any = None, **_: object) -> None:
        signed.append(Signed(dict(request.header_params), request.uri, request.body))

    client.call("observe", lambda call: call._http_client._http_handler.add_request_handler(keep))

    def send_signed(action: Callable[[ModelArts], object]) -> Signed:
        action(client)
        return signed[-1]

    return send_signed


def test_a_signature_covers_method_path_query_and_body(
    sign: Callable[[Callable[[ModelArts], object]], Signed], running: StandIn, body: MakeBody
) -> None:
    seen = sign(lambda client: client.events(client.submit(body()).id))
    good = send(running.port, "GET", seen.uri, seen.headers)
    assert good == (200, "")
    assert send(running.port, "POST", seen.uri, seen.headers)[0] == 403
    assert send(running.port, "GET", seen.uri + "&offset=1", seen.headers)[0] == 403
    assert send(running.port, "GET", seen.uri.replace("/events", "/eventz"), seen.headers)[0] == 403
    seen = sign(lambda client: client.submit(body(attempt=2)))
    changed = seen.body.replace(b"epochs", b"epochz")
    assert send(running.port, "POST", seen.uri, seen.headers, changed) == (403, "ModelArts.0206")


def test_unknown_paths_and_methods_are_refused(client: ModelArts) -> None:
    with pytest.raises(Refused, match=r"APIG\.0101"):
        client.call("list", lambda call: call.list_workflows(sdk.ListWorkflowsRequest()))
    with pytest.raises(Exception, match=r"ModelArts\.2803"):
        client.call(
            "patch",
            lambda call: call.do_http_request(
                "DELETE", "/v2/{project_id}/training-job-engines", response_type="ShowTrainingJobEnginesResponse"
            ),
        )
