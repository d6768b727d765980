"""The stand-in, asked by the official SDK and, where that cannot do wrong, by hand."""

import copy
import http.client
import json
import os
import signal
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import huaweicloudsdkmodelarts.v1 as sdk
import psutil
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException

from infra.errors import Refused, UserError
from infra.obs import emulator as obs_emulator
from infra.obs.client import connect as connect_obs
from infra.ports import LocalFile
from infra.services import Services
from infra.settings import ModelArtsSettings, ModelArtsStandInSettings, ObsSettings
from infra.store.digests import file_digest
from infra.training import modelarts_emulator, modelarts_plan
from tests.unit.infra.training import doubles

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12

PLACE = modelarts_plan.Place("bucket", "af")


def numbered(attempt):
    return modelarts_plan.Attempt(attempt, PLACE.results("ab" * 32), resume=False, installation="here")


@pytest.fixture
def body(job):
    """Makes the body of a job: `body(attempt=2, epochs=3)`."""

    def make(attempt=1, **spec):
        return modelarts_plan.body(job(**spec), numbered(attempt), doubles.settings_for(1), PLACE)

    return make


@pytest.fixture
def asking(tmp_path, store):
    """A stand-in with quick phases, and a client."""
    with doubles.stand_in(tmp_path / "platform", store) as (platform, settings), doubles.client_for(settings) as client:
        client.platform = platform
        client.port = int(settings.endpoint.rpartition(":")[2])
        yield client


def wait(client, identity, *phases):
    """Ask until the job is in one of the phases."""
    deadline = time.monotonic() + 30
    while (job := client.show(identity)).phase not in phases:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def test_a_job_runs_through_its_phases(tmp_path, store, body):
    options = ModelArtsStandInSettings(creating_seconds=0.3, queue_seconds=0.3, log_seconds=0)
    with doubles.stand_in(tmp_path, store, options) as (_, settings), doubles.client_for(settings) as client:
        job = client.submit(body())
        seen = [job.phase]
        while not job.final:
            job = client.show(job.id)
            seen += [job.phase] if job.phase != seen[-1] else []
        assert [phase for phase in seen if phase != "Running"] == ["Creating", "Pending", "Completed"]
        assert job.queued_ms >= 500
        assert "exit code 0" in " ".join(client.events(job.id))


def test_the_container_has_the_platforms_layout_and_environment(asking, body, fake_main, store, job):
    script = (
        "import json, os, sys, pathlib\n"
        "seen = sorted(os.listdir()) + os.listdir(os.environ['more'])\n"
        "print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), seen]))\n"
    )
    fake_main.write_text(script)
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    made["algorithm"]["parameters"] = [{"name": "epochs", "value": "3"}]
    made["algorithm"]["inputs"].append(
        {"name": "more", "access_method": "env", "remote": {"obs": {"obs_url": "/bucket/af/data/1/eval/"}}}
    )
    done = wait(asking, asking.submit(made).id, "Completed", "Failed")
    arguments, folder, environment, files = json.loads(asking.preview(done.id, "worker-0").content)
    root = str(asking.platform.book.folder / done.id / "container")
    mount = f"{root}/home/ma-user/modelarts"
    assert arguments == [
        f"--data_url={mount}/inputs/data_url_0",
        f"--train_url={mount}/outputs/train_url_0",
        "--epochs=3",
    ]
    assert environment["more"] == f"{mount}/inputs/more_1"
    assert folder == environment["WORKSPACE"] == f"{mount}/user-job-dir/models"
    assert files == ["main.py", "test_batch.bin"]
    assert not Path(root).exists()  # the disk is free again, and the log still there
    assert environment["MA_JOB_DIR"] == f"{mount}/user-job-dir"
    assert environment["MA_CURRENT_INSTANCE_NAME"] == f"modelarts-job-{done.id}-worker-0"
    assert json.loads(environment["ATLASFLOW_SPEC"]) == {"epochs": 2}
    assert not [name for name in environment if "SECRET" in name or "ACCESS_KEY" in name]
    assert not any(doubles.ACCOUNT.secret_key in value for value in environment.values())


def test_outputs_are_synchronised_while_the_script_runs(asking, body, store, tmp_path):
    identity = asking.submit(body(epochs=1, wait_for=str(tmp_path / "go"))).id
    key = PLACE.results("ab" * 32) + "/epoch-1.ckpt"
    deadline = time.monotonic() + 30
    while store.head(key) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert asking.show(identity).phase == "Running"
    (tmp_path / "go").touch()
    wait(asking, identity, "Completed")
    assert store.head(PLACE.results("ab" * 32) + "/history.json")


def test_logs_come_late_first_as_204(tmp_path, store, body):
    options = ModelArtsStandInSettings(creating_seconds=0, queue_seconds=0, log_seconds=1)
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        identity = client.submit(body(pid_file=str(tmp_path / "pid"))).id
        wait(client, identity, "Running")
        assert client.preview(identity, "worker-0") is None
        deadline = time.monotonic() + 20
        while (preview := client.preview(identity, "worker-0")) is None:
            assert time.monotonic() < deadline
        assert preview.content.startswith("fake train")
        assert preview.total == len(preview.content)


def test_the_log_is_exported_linked_and_read_by_lines(asking, body, store):
    identity = asking.submit(body(epochs=3)).id
    wait(asking, identity, "Completed")
    key = f"af/logs/modelarts-job-{identity}-worker-0.log"
    whole = (store.folder / key).read_text()
    assert store.folder.joinpath(linked(asking.log_link(identity, "worker-0"))).read_text() == whole
    request = sdk.ShowTrainingJobLogsFromAomRequest(training_job_id=identity, task_id="worker-0", lines=2, order="asc")
    answer = asking.call("read lines", lambda client: client.show_training_job_logs_from_aom(request))
    assert answer.content.splitlines() == whole.splitlines()[:2]
    assert answer.end_line == "2"


def linked(address):
    """The key in a link of the bucket's."""
    return urlsplit(address).path.removeprefix("/bucket/")


def test_a_link_to_the_end_of_a_log_is_another_one(asking, body, store, monkeypatch):
    monkeypatch.setattr("infra.training.emulated_answers._PREVIEW_BYTES", 5)
    identity = asking.submit(body()).id
    wait(asking, identity, "Completed")
    whole = (store.folder / linked(asking.log_link(identity, "worker-0"))).read_bytes()
    assert len(whole) > 5

    def ask(kind):
        return asking.call(
            "link",
            lambda client: client.do_http_request(
                "GET",
                f"/v2/{{project_id}}/training-jobs/{identity}/tasks/worker-0/logs/url",
                header_params={"Content-Type": kind},
                response_type="ShowTrainingJobLogsPreviewResponse",
            ),
        )

    address = json.loads(ask("text/plain").raw_content)["obs_url"]
    assert (store.folder / linked(address)).read_bytes() == whole[-5:]
    with pytest.raises(UserError, match="content type"):
        ask("application/json")


def test_arguments_may_be_two_words(tmp_path, store, body, fake_main):
    fake_main.write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    made["algorithm"]["parameters"] = [{"name": "lesson", "value": "two words"}]
    options = doubles.QUICK.model_copy(update={"arguments": "separate"})
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        done = wait(client, client.submit(made).id, "Completed", "Failed")
        arguments = json.loads(client.preview(done.id, "worker-0").content)
    assert arguments[::2] == ["--data_url", "--train_url", "--lesson"]
    assert arguments[-1] == "two words"


def test_the_boot_script_takes_arguments_of_two_words(tmp_path, store, job):
    """The whole way, with the program that speaks the protocol."""
    options = doubles.QUICK.model_copy(update={"arguments": "separate"})
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        chosen = settings.model_copy(update={"parameters": {"lesson": "3"}})
        doubles.trainer_for(client, store, chosen, tmp_path).train(job(), print)
    assert (job().folder / "history.json").exists()


def test_jobs_queue_for_slots(asking, body, tmp_path):
    first = asking.submit(body(pid_file=str(tmp_path / "pid"))).id
    wait(asking, first, "Running")
    second = asking.submit(body(attempt=2)).id
    assert wait(asking, second, "Pending").queued_ms is None
    time.sleep(0.3)
    assert asking.show(second).phase == "Pending"
    assert asking.stop(first).phase == "Terminating"
    wait(asking, first, "Terminated")
    wait(asking, second, "Completed")


def test_stopping_ends_the_whole_group_and_deleting_forgets(asking, body, tmp_path):
    identity = asking.submit(body(pid_file=str(tmp_path / "pid"))).id
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.02)
    script = psutil.Process(int((tmp_path / "pid").read_text()))
    asking.stop(identity)
    wait(asking, identity, "Terminated")
    assert not script.is_running()
    asking.delete(identity)
    deadline = time.monotonic() + 10
    while asking.find("atlasflow-", "0"):
        assert time.monotonic() < deadline
    assert not (asking.platform.book.folder / identity).exists()


def test_a_job_stuck_in_the_queue_can_be_stopped(tmp_path, store, body):
    stuck = doubles.stand_in(tmp_path, store, faults="stuck@modelarts.queue")
    with stuck as (_, settings), doubles.client_for(settings) as client:
        identity = client.submit(body()).id
        wait(client, identity, "Pending")
        time.sleep(0.3)
        assert client.show(identity).phase == "Pending"
        client.stop(identity)
        wait(client, identity, "Terminated")


def test_missing_input_fails_the_job_with_the_reason(asking, body):
    made = body()
    made["algorithm"]["inputs"][0]["remote"]["obs"]["obs_url"] = "obs://bucket/absent/"
    done = wait(asking, asking.submit(made).id, "Failed")
    assert "nothing at obs://bucket/absent/" in done.message


def test_requirements_beside_the_boot_file(asking, body, fake_main, store):
    present = fake_main.parent / "pip-requirements.txt"
    present.write_text("numpy>=1.20  # here already\n\npytest\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    wait(asking, asking.submit(made).id, "Completed")
    present.write_text("not a requirement !\n")
    again = body(attempt=2)
    store.put_tree("af/code/1/models", fake_main.parent)
    assert "pip-requirements.txt" in wait(asking, asking.submit(again).id, "Failed").message


def test_requirements_may_have_options_and_include_others(asking, body, fake_main, store, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "tiny_thing-1.0-py3-none-any.whl", "w") as wheel:
        about = "tiny_thing-1.0.dist-info"
        wheel.writestr("tiny_thing.py", "WORD = 'tiny'\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    options = "--index-url http://127.0.0.1:1/simple  # of the region\n"
    (fake_main.parent / "pip-requirements.txt").write_text(f"{options}-r one.txt\nnumpy\n")
    (fake_main.parent / "one.txt").write_text("-rtwo.txt\n")
    (fake_main.parent / "two.txt").write_text("--requirement=more.txt\n")
    (fake_main.parent / "more.txt").write_text(f"--no-index\n--find-links {wheels}\ntiny-thing==1.0\n")
    fake_main.write_text("import tiny_thing\nprint(tiny_thing.WORD)\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    done = wait(asking, asking.submit(made).id, "Completed", "Failed")
    assert (done.phase, asking.preview(done.id, "worker-0").content) == ("Completed", "tiny\n")


def test_requirements_that_name_an_absent_file_fail_the_job_with_the_reason(asking, body, fake_main, store):
    (fake_main.parent / "pip-requirements.txt").write_text("-r absent.txt\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    assert "absent.txt" in wait(asking, asking.submit(made).id, "Failed").message


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
    names = [sdk.ValidateTrainingJobNameRequest(job_name=name) for name in (modelarts_plan.name("ab" * 32, 1), "new")]
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
        assert [modelarts_plan.attempt_of(job.name) for job in client.find("atlasflow-", "0")] == list(range(53, 0, -1))


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


def start_service(home):
    services = Services(home)
    services.start(obs_emulator.service(services, home))
    obs = obs_emulator.reach(ObsSettings(bucket="bucket"), services, home)
    made = modelarts_emulator.service(services, home, obs, doubles.QUICK)
    services.start(made)
    return services, obs, made


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    services = Services(tmp_path / "home")
    services.stop(modelarts_emulator.NAME)
    services.stop(obs_emulator.NAME)


def test_the_service_keeps_its_jobs_when_it_is_killed(home, fake_main, data, tmp_path, job):
    services, obs, made = start_service(home)
    assert "stand-in" in made.title
    secret = json.loads(made.environment["ATLASFLOW_MODELARTS_STAND_IN"])["secret_key"]
    assert not any(secret in word for word in made.command)
    assert secret not in repr(made)
    bucket = connect_obs(obs, emulated=True)
    bucket.ensure_bucket()
    for prefix, folder in (("af/code/1/models", fake_main.parent), ("af/data/1", data)):
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        bucket.sync(prefix, {name: LocalFile(p, file_digest(p), p.stat().st_size) for name, p in files.items()})
    chosen = ModelArtsSettings(engine="mindspore-stand-in-cpu", flavor="modelarts.vm.cpu.2u", poll_seconds=0.1)
    settings = modelarts_emulator.reach(chosen, services, home)
    todo = job(pid_file=str(tmp_path / "pid"), sleep=600)
    made_body = modelarts_plan.body(todo, numbered(1), settings, PLACE)
    with doubles.client_for(settings) as client:
        identity = client.submit(made_body).id
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        script = psutil.Process(int((tmp_path / "pid").read_text()))
        status = next(item for item in services.status() if item.name == modelarts_emulator.NAME)
        assert status.memory < 200_000_000
        os.kill(status.pid, signal.SIGKILL)
        script.wait(20)  # it watches its standard input
        (tmp_path / "pid").unlink()
        start_service(home)
        assert wait(client, identity, "Running").name.endswith("-1")
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        script = psutil.Process(int((tmp_path / "pid").read_text()))
        began = time.monotonic()
        services.stop(modelarts_emulator.NAME)
        assert time.monotonic() - began < 8
        assert not script.is_running()
    assert sys.executable in made.command
