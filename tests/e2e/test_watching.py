"""What people see and hear of runs: automations that tell them, runs that crash, limits that hold over a restart."""

import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.events.schemas.automations import EventTrigger
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from tasks.orchestration import automations, events, limits
from tests.e2e.installation import PYTHON
from tests.receivers import post, web

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]

CHECKOUT = Path(__file__).parents[2]
WAY = {"path-that-is-a-secret", "header-that-nobody-may-see", "mail-password-that-nobody-may-see"}
SLEEPER = """
import time
import uuid
from prefect import flow
@flow(name="sleeper", flow_run_name="sleeper")
def sleeper():
    print("sleeps", flush=True)
    time.sleep(600)
sleeper()
"""
HOLDER = """
import sys
from pathlib import Path
from tasks.orchestration.limits import holding
with holding({"held": 1}, Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def watched(made: Any) -> Iterator[Any]:
    """The home with its services up, and this process pointed to its Prefect server."""
    made.atlasflow("up")
    api = f"{made.services()['prefect']['address']}/api"
    with temporary_settings({PREFECT_API_URL: api, PREFECT_API_AUTH_STRING: made.login()}):
        yield made


@contextmanager
def program(home: Any, script: Any, *arguments: Any) -> Iterator[Any]:
    """A Python program against the home's Prefect server that has said its first line; it is killed at the end."""
    environment = home.environment() | {
        **home.prefect_client(),
        "PREFECT_HOME": str(home.folder / "prefect"),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
    }
    command = [PYTHON, "-c", script, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=CHECKOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def until(found: Any, seconds: int = 60) -> Any:
    """What `found` returns, once it is something."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return result


def ours(home: Any) -> Any:
    return {found["name"]: found for found in home.prefect("automations") if "atlasflow" in found["tags"]}


def emit(home: Any, event: Any, resource: Any, payload: Any) -> None:
    said = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": event,
        "resource": {"prefect.resource.id": resource, "prefect.resource.name": resource},
        "payload": payload,
        "id": str(uuid.uuid4()),
    }
    home.post("events", [said])


def told(received: Any, words: Any) -> Any:
    """What comes of a notification with these words in its subject; the home may have news of other runs too."""
    while True:
        found = received.get(timeout=60)
        if words in found[2]["subject"]:
            return found


def test_failures_promotions_and_fallen_boards_are_told_in_every_way_and_automations_are_never_doubled(
    watched: Any,
) -> None:
    assert set(ours(watched)) >= {automations.CRASH}
    with web() as plain, web() as cloud, post() as mailbox:
        settings = {
            "ATLASFLOW_NOTIFY__WEBHOOK": plain.address,
            "ATLASFLOW_NOTIFY__WEBHOOK_HEADERS": '{"Authorization": "header-that-nobody-may-see"}',
            "ATLASFLOW_NOTIFY__CLOUD_WEBHOOK": cloud.address,
            "ATLASFLOW_NOTIFY__CLOUD_MESSAGE": "{text}",
            "ATLASFLOW_NOTIFY__MAIL_HOST": "127.0.0.1",
            "ATLASFLOW_NOTIFY__MAIL_PORT": str(mailbox.port),
            "ATLASFLOW_NOTIFY__MAIL_SECURITY": "none",
            "ATLASFLOW_NOTIFY__MAIL_USER": "atlasflow",
            "ATLASFLOW_NOTIFY__MAIL_PASSWORD": "mail-password-that-nobody-may-see",
            "ATLASFLOW_NOTIFY__MAIL_TO": '["people@example.org"]',
        }
        said = watched.atlasflow("up", **settings)
        assert "notifications: failure, promotion, fallback, stall by webhook, mail, cloud webhook" in said
        first = ours(watched)
        assert set(first) >= {automations.FAILURE, automations.PROMOTION, automations.FALLBACK, automations.CRASH}
        watched.atlasflow("up", **settings)
        assert {name: found["id"] for name, found in ours(watched).items()} == {
            name: found["id"] for name, found in first.items()
        }

        nowhere = ["--set", "data.source=file:///nowhere.tar.gz", "--set", f"data.sha256={'0' * 64}"]
        watched.atlasflow("run", "--stage", "download", *nowhere, code=2)
        _, headers, body = told(plain.got, "nowhere.tar.gz")
        assert headers["Authorization"] == "header-that-nobody-may-see"
        assert body["subject"].startswith("AtlasFlow: download lenet5-sample nowhere.tar.gz #")
        assert body["subject"].endswith(" failed")
        assert "there is no file /nowhere.tar.gz" in body["text"]
        assert "/runs/flow-run/" in body["address"]
        assert told(cloud.got, "nowhere.tar.gz")[2] == {"subject": body["subject"], "message": body["text"]}
        login, receivers, mail = told(mailbox.got, "nowhere.tar.gz")
        assert (login, receivers) == (("atlasflow", "mail-password-that-nobody-may-see"), ["people@example.org"])
        assert mail["subject"] == body["subject"]

        emit(watched, events.PROMOTED, "r2", {"who": "retrain", "why": "3 more images right"})
        assert told(plain.got, "champion")[2]["text"] == "who: retrain\nwhy: 3 more images right"
        emit(watched, events.FELL_BACK, "board roof", {"reason": "too slow"})
        assert told(plain.got, "fell back")[2]["subject"].endswith("to its previous release (board roof)")
        assert not [found for found in list(plain.got.queue) if "nowhere.tar.gz" in found[2]["subject"]]
    kept = b"".join(path.read_bytes() for path in (watched.folder / "prefect").glob("prefect.db*"))
    assert not [secret for secret in WAY if secret.encode() in kept]
    assert not [secret for secret in WAY if any(secret in text for text in watched.said)]

    watched.atlasflow("up", ATLASFLOW_PREFECT__CRASHED_SECONDS="75")
    left = ours(watched)
    assert not {automations.FAILURE, automations.PROMOTION, automations.FALLBACK} & set(left)
    assert left[automations.CRASH]["id"] == first[automations.CRASH]["id"]
    assert left[automations.CRASH]["trigger"]["within"] == 75


def test_a_run_whose_process_was_killed_is_marked_as_crashed(watched: Any) -> None:
    quick = automations.crash(12, ["sleeper"])
    assert isinstance(quick.trigger, EventTrigger)
    assert quick.trigger.within == timedelta(seconds=12)
    address = f"{watched.services()['prefect']['address']}/api/automations/"
    body = quick.model_dump(mode="json") | {"name": "quick", "tags": []}
    login = httpx.BasicAuth(*watched.login().split(":", 1))
    made = httpx.post(address, json=body, auth=login, trust_env=False)
    made.raise_for_status()
    try:
        with program(watched, SLEEPER) as process:
            process.send_signal(signal.SIGKILL)
        wanted = {"name": {"any_": ["sleeper"]}, "state": {"type": {"any_": ["CRASHED"]}}}
        (run,) = until(lambda: watched.prefect("flow_runs", flow_runs=wanted))
        assert run["state"]["message"] == "Nothing was heard of this run for 12 s: its process is gone."
    finally:
        httpx.delete(f"{address}{made.json()['id']}", auth=login, trust_env=False).raise_for_status()


def slots(home: Any, name: Any) -> Any:
    found = home.prefect("v2/concurrency_limits")
    return next(limit["active_slots"] for limit in found if limit["name"] == name)


def test_a_slot_stays_taken_over_a_restart_of_the_server_and_comes_back_when_its_holder_is_killed(watched: Any) -> None:
    assert {limit["name"] for limit in watched.prefect("v2/concurrency_limits")} >= {"training", "board:laptop"}
    with program(watched, HOLDER, str(watched.folder)):
        assert slots(watched, "held") == 1
        watched.atlasflow("down")
        watched.atlasflow("up")
        assert slots(watched, "held") == 1
    begun = time.monotonic()
    with limits.holding({"held": 1}, watched.folder, lambda _text: None):
        assert time.monotonic() - begun < limits.LEASE_SECONDS / 4
        assert slots(watched, "held") == 1
    assert slots(watched, "held") == 0


def test_the_progress_of_a_training_is_left_as_an_artifact(watched: Any) -> None:
    found = watched.prefect("artifacts", artifacts={"key": {"any_": ["progress-train"]}})
    assert found[0]["data"] == 100
    assert found[0]["description"].startswith("done; accuracy")
