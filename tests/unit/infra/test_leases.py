import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from infra.errors import Refused, Transient
from infra.home import CHECKOUT
from infra.leases import LEASE_SECONDS, Leases
from tests.leasing import serving

QUICK: dict[str, Any] = {"pause": 0.01, "renew_seconds": 0.01, "patience": 0.2}
HOLDER = """
import sys
from infra.leases import Leases
with Leases(sys.argv[1], {}).hold("stage", lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[Any]:
    with serving() as (limits, api):
        yield limits, api


def no_waiting() -> None:
    raise AssertionError("nobody holds it")


def test_a_free_lock_is_had_at_once_and_nothing_is_left_on_the_server(server: Any) -> None:
    limits, api = server
    with Leases(api, {"Authorization": "Basic abc"}).hold("stage", no_waiting) as waited:
        assert not waited
        assert limits.names() == ["stage"]
    assert limits.names() == []
    assert limits.leases == {}
    assert limits.authorization == {"Basic abc"}


def test_only_one_holds_it_at_a_time(server: Any) -> None:
    _, api = server
    inside, most = [], []

    def work() -> None:
        with Leases(api, {}, **QUICK).hold("stage", lambda: None):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_different_locks_do_not_wait_for_each_other(server: Any) -> None:
    _, api = server
    leases = Leases(api, {}, **QUICK)
    with leases.hold("one", no_waiting), leases.hold("two", no_waiting) as waited:
        assert not waited


def test_a_lease_is_renewed_while_the_work_goes_on(server: Any) -> None:
    limits, api = server
    with Leases(api, {}, **QUICK).hold("stage", no_waiting):
        for _ in range(5):
            seen = limits.renewals
            limits.wait_until(lambda seen=seen: limits.renewals >= seen + 2)
            limits.pass_time(LEASE_SECONDS / 2)
        assert len(limits.leases) == 1


def test_the_lock_of_a_killed_holder_is_free_when_its_lease_has_run_out(server: Any) -> None:
    limits, api = server
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, api], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    waiting, done = threading.Event(), threading.Event()

    def work() -> None:
        with Leases(api, {}, **QUICK).hold("stage", waiting.set) as waited:
            assert waited
            done.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert waiting.wait(30)
    limits.pass_time(LEASE_SECONDS - 1)
    assert not done.wait(0.1)
    limits.pass_time(2)
    assert done.wait(30)
    thread.join()
    assert limits.names() == []


def test_nothing_is_begun_while_the_server_is_away(server: Any) -> None:
    limits, api = server
    limits.away = True
    with pytest.raises(Transient, match="answered 503"), Leases(api, {}, **QUICK).hold("stage", no_waiting):
        raise AssertionError("it was started")


def test_an_address_where_nothing_answers_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        api = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
    with pytest.raises(Transient, match="holds the locks of all machines") as refusal:  # noqa: SIM117
        with Leases(api, {}, **QUICK).hold("stage", no_waiting):
            raise AssertionError("it was started")
    assert "nothing was started" in refusal.value.hint


def test_a_server_that_comes_back_is_waited_for(server: Any) -> None:
    limits, api = server
    limits.away = True
    threading.Timer(0.1, lambda: setattr(limits, "away", False)).start()
    with Leases(api, {}, **QUICK | {"patience": 30}).hold("stage", no_waiting):
        assert limits.names() == ["stage"]


def test_work_goes_on_while_the_server_is_away_and_its_lock_is_asked_for_anew(server: Any) -> None:
    limits, api = server
    with Leases(api, {}, **QUICK).hold("stage", no_waiting):
        limits.away = True
        limits.pass_time(LEASE_SECONDS + 1)
        assert limits.leases == {}
        limits.away = False
        limits.wait_until(lambda: len(limits.leases) == 1)
    assert limits.names() == []


def test_a_lock_that_was_lost_to_another_machine_stays_with_it(server: Any) -> None:
    limits, api = server
    slow = Leases(api, {}, pause=0.01, renew_seconds=60)
    with slow.hold("stage", no_waiting):
        limits.pass_time(LEASE_SECONDS + 1)
        other = slow.hold("stage", no_waiting)
        other.__enter__()
    assert limits.names() == ["stage"]
    assert len(limits.leases) == 1
    other.__exit__(None, None, None)
    assert limits.names() == []


def test_a_server_that_went_away_for_good_does_not_spoil_what_was_done(server: Any) -> None:
    limits, api = server
    with Leases(api, {}, **QUICK).hold("stage", no_waiting):
        limits.away = True


def test_a_server_without_leases_is_refused(server: Any) -> None:
    _, api = server
    with pytest.raises(Refused, match="answered"), Leases(f"{api}/v9", {}, **QUICK).hold("stage", no_waiting):
        raise AssertionError("it was started")
