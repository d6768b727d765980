"""Limits and leases against a double of the Prefect server's; `tests/e2e/test_watching.py` asks a real one."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_CSRF_SUPPORT_ENABLED, temporary_settings

from infra.errors import Refused, Transient
from infra.home import CHECKOUT
from infra.settings import load
from tasks.orchestration import limits
from tests.leasing import serving

HOLDER = """
import sys
from pathlib import Path
from tasks.orchestration.limits import holding
with holding({"training": 1}, Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[Any]:
    with serving() as (double, api):
        double.settings = {PREFECT_API_URL: api, PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False}
        with temporary_settings(double.settings):
            yield double


def active(server: Any) -> Any:
    return {limit["name"]: limit["active"] for limit in server.limits.values()}


def test_limits_are_made_once_and_follow_the_settings(server: Any) -> None:
    wanted = limits.training_limit(load(overrides={"prefect.training_jobs": "2"})) | limits.board_limits(["roof"])
    assert wanted == {"training": 2, "board:roof": 1}
    assert [limits.ensure(wanted), limits.ensure(wanted), limits.ensure({**wanted, "training": 3})] == [2, 0, 1]
    assert {limit["name"]: limit["limit"] for limit in server.limits.values()} == {"training": 3, "board:roof": 1}


def test_a_slot_is_held_while_the_block_lasts_and_its_limit_is_made_when_it_is_not_there(
    server: Any, tmp_path: Path
) -> None:
    with limits.holding({"training": 1, "board:roof": 1}, tmp_path, pytest.fail):
        assert active(server) == {"training": 1, "board:roof": 1}
        assert len(list((tmp_path / "leases").glob("*.lease"))) == 1
    assert active(server) == {"training": 0, "board:roof": 0}
    assert not list((tmp_path / "leases").iterdir())


def test_an_error_in_the_block_gives_the_slot_back(server: Any, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), limits.holding({"training": 1}, tmp_path, pytest.fail):
        _ = 1 / 0
    assert active(server) == {"training": 0}


def test_the_second_waits_says_so_once_and_goes_on(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "POLL_SECONDS", 0.01)
    said, looked = [], threading.Event()

    def second() -> None:
        with temporary_settings(server.settings), limits.holding({"training": 1}, tmp_path, hear):
            said.append("held")

    def hear(text: Any) -> None:
        said.append(text)
        looked.set()

    waiting = threading.Thread(target=second)
    with limits.holding({"training": 1}, tmp_path, pytest.fail):
        waiting.start()
        assert looked.wait(10)
    waiting.join(10)
    assert said == ["waits for a free slot of training", "held"]


def test_what_a_killed_process_held_is_given_back_at_once(server: Any, tmp_path: Path) -> None:
    told = {name.name: str(value) for name, value in server.settings.items()}
    environment = {**os.environ, **told, "PREFECT_HOME": str(tmp_path / "prefect")}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=CHECKOUT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.send_signal(signal.SIGKILL)
    assert active(server) == {"training": 1}
    with limits.holding({"training": 1}, tmp_path, pytest.fail):
        assert active(server) == {"training": 1}
    assert not list((tmp_path / "leases").iterdir())


def test_a_lease_is_renewed_and_what_a_server_forgot_is_no_error(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RENEW_SECONDS", 0.01)
    with limits.holding({"training": 1}, tmp_path, pytest.fail):
        server.wait_until(lambda: server.renewals > 2)
        server.pass_time(limits.LEASE_SECONDS + 1)
        assert active(server) == {"training": 0}


def test_a_note_that_somebody_holds_is_left_alone(server: Any, tmp_path: Path) -> None:
    note = tmp_path / "leases" / f"{uuid.uuid4()}.lease"
    note.parent.mkdir()
    with note.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not limits._release_orphans(cast("SyncPrefectClient", None), note.parent)
    assert note.exists()


def test_no_limits_ask_nobody(tmp_path: Path) -> None:
    with limits.holding({}, tmp_path, pytest.fail):
        pass


def test_a_server_that_is_away_is_named(tmp_path: Path) -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(Transient, match="the Prefect server does not answer"),
        limits.holding({"training": 1}, tmp_path, pytest.fail),
    ):
        pass


def test_a_limit_of_nothing_is_said(server: Any, tmp_path: Path) -> None:
    limits.ensure({"training": 0})
    with pytest.raises(Refused, match="is 0"), limits.holding({"training": 1}, tmp_path, pytest.fail):
        pass
