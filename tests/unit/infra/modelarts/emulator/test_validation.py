"""What the stand-in refuses, and what it answers about its jobs."""

import copy
import http.client
import json
from datetime import UTC, datetime, timedelta

import huaweicloudsdkmodelarts.v1 as sdk
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException

from infra.errors import Refused, UserError
from infra.modelarts import plan
from tests.unit.infra.modelarts import doubles

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


WRONG = [
    ("2788", ["kind"], "hetero_job"),
    ("2788", ["metadata"], None),
    ("0104", ["metadata", "name"], "a b"),
    ("0104", ["metadata", "name"], "x" * 65),
    ("0102", ["metadata", "workspace_id"], "7"),
    ("2780", ["algorithm", "engine", "engine_id"], "absent"),
    ("2763", ["spec", "resource", "flavor_id"], ""),
    ("2781", ["spec", "resource", "flavor_id"], "absent"),
    ("2793", ["spec", "resource", "node_count"], 2),
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
def test_wrong_jobs_are_refused_with_the_platforms_code(asking, body, code, path, value):
    made = copy.deepcopy(body())
    if code == "2757":  # an empty folder: nothing lies under it
        made["algorithm"] |= {"code_dir": "obs://bucket/empty/", "boot_file": "obs://bucket/empty/main.py"}
    else:
        inner = made
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value
    with pytest.raises((UserError, Refused), match=rf"ModelArts\.{code}") as caught:
        asking.submit(made)
    assert caught.value.hint
    assert not asking.find("", "0")


def test_a_name_is_given_once(asking, body):
    asking.submit(body())
    with pytest.raises(Refused, match=r"ModelArts\.2751"):
        asking.submit(body())
    names = [sdk.ValidateTrainingJobNameRequest(job_name=name) for name in (plan.name("ab" * 32, 1), "new")]
    found = [asking.call("check", lambda client, n=name: client.validate_training_job_name(n)) for name in names]
    assert [answer.is_duplicate for answer in found] == [True, False]


def test_what_is_not_there_is_http_400(asking):
    for ask in (asking.show, asking.stop, asking.delete, asking.events):
        with pytest.raises(Refused, match=r"ModelArts\.2775"):
            ask("absent")
    with pytest.raises(ServiceResponseException) as caught:
        asking._client.show_training_job_details(sdk.ShowTrainingJobDetailsRequest(training_job_id="absent"))
    assert (caught.value.status_code, bool(caught.value.request_id)) == (400, True)


def test_pages_of_a_search(tmp_path, store, body):
    options = doubles.QUICK.model_copy(update={"slots": 16, "creating_seconds": 60})
    with doubles.stand_in(tmp_path, store, options) as (_, settings), doubles.client_for(settings) as client:
        for attempt in range(1, 54):
            client.submit(body(attempt=attempt))
        assert [plan.attempt_of(job.name) for job in client.find("atlasflow-", "0")] == list(range(53, 0, -1))


def test_a_search_by_time(asking, body):
    job = asking.submit(body())

    def found(*values, operator="between"):
        search = sdk.JobSearches(filters=[sdk.Filter(key="create_time", operator=operator, value=list(values))])
        request = sdk.ListTrainingJobsRequest(body=search)
        return asking.call("search", lambda client: client.list_training_jobs(request)).total

    at = job.created_ms
    assert found(str(at - 1000), str(at + 1000)) == 1
    assert found(str(at + 1000), str(at + 2000)) == 0
    with pytest.raises(UserError, match=r"ModelArts\.2809"):
        found("yesterday", "today")
    with pytest.raises(UserError, match=r"ModelArts\.2808"):
        found(str(at), operator="like")


def test_descriptions_can_be_changed(asking, body):
    identity = asking.submit(body()).id
    asking.describe(identity, "mine")
    assert asking.show(identity).description == "mine"
    assert asking.find("atlasflow-", "0")[0].description == "mine"


def by_hand(port, method, path, headers, body=b""):
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
def test_requests_without_a_good_signature(asking, headers, status, code):
    now = datetime.now(UTC) + timedelta(seconds=1)
    sent = {name: now.strftime("%Y%m%dT%H%M%SZ") if value == "now" else value for name, value in headers.items()}
    path = f"/v2/{doubles.ACCOUNT.project}/training-job-engines"
    assert by_hand(asking.port, "GET", path, sent) == (status, f"ModelArts.{code}")


@pytest.fixture
def signed(asking):
    """Send a request signed by the SDK, after changing it."""
    seen = {}

    def keep(request=None, **_):
        seen.update(headers=dict(request.header_params), uri=request.uri, body=request.body)

    asking._client._http_client._http_handler.add_request_handler(keep)

    def ask(action):
        action(asking)
        return seen

    return ask


def test_a_signature_covers_method_path_query_and_body(signed, asking, body):
    seen = signed(lambda client: client.events(client.submit(body()).id))
    good = by_hand(asking.port, "GET", seen["uri"], seen["headers"])
    assert good == (200, "")
    assert by_hand(asking.port, "POST", seen["uri"], seen["headers"])[0] == 403
    assert by_hand(asking.port, "GET", seen["uri"] + "&offset=1", seen["headers"])[0] == 403
    assert by_hand(asking.port, "GET", seen["uri"].replace("/events", "/eventz"), seen["headers"])[0] == 403
    seen = signed(lambda client: client.submit(body(attempt=2)))
    changed = seen["body"].replace(b"epochs", b"epochz")
    assert by_hand(asking.port, "POST", seen["uri"], seen["headers"], changed) == (403, "ModelArts.0206")


def test_paths_and_methods_that_are_not_there(asking):
    with pytest.raises(Refused, match=r"APIG\.0101"):
        asking.call("list", lambda client: client.list_workflows(sdk.ListWorkflowsRequest()))
    with pytest.raises(Exception, match=r"ModelArts\.2803"):
        asking.call(
            "patch",
            lambda client: client.do_http_request(
                "DELETE", "/v2/{project_id}/training-job-engines", response_type="ShowTrainingJobEnginesResponse"
            ),
        )
