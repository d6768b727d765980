import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from infra.errors import Refused, Transient
from infra.notify import relay as module
from infra.notify.message import Message
from infra.notify.outbox import Outbox
from infra.notify.relay import Relay
from infra.settings import RetrySettings, load
from tests.receivers import running, web

TOLD = Message("failure", "subject", "text", "")
SECRET = "Bearer of-this-home"
RETRY = RetrySettings(attempts=3, seconds=2)


@pytest.fixture
def outbox(tmp_path: Path) -> Any:
    return Outbox(tmp_path)


def deliver(outbox: Any, **senders: Any) -> Any:
    said: list[str] = []
    slept: list[float] = []
    outbox.deliver(senders, RETRY, said.append, slept.append)
    return said, slept


def test_what_passes_is_tried_again_and_then_kept_apart_with_its_reason(outbox: Any) -> None:
    attempts = []

    def broken(message: Any) -> None:
        attempts.append(message)
        raise Transient("no answer")

    outbox.put(TOLD, ("webhook", "mail"))
    taken: list[Any] = []
    said, slept = deliver(outbox, webhook=broken, mail=taken.append)
    assert (attempts, taken) == ([TOLD] * 3, [TOLD])
    assert len(slept) == 2
    assert said == ["subject: webhook failed: no answer (tried 3 times)", "subject: mail took it"]
    assert outbox.lost() == ["subject"]
    (kept,) = outbox.undelivered.iterdir()
    assert json.loads(kept.read_text())["problems"] == {"webhook": "no answer (tried 3 times)"}
    assert kept.stat().st_mode & 0o077 == 0
    assert deliver(outbox, webhook=broken) == ([], [])


def test_a_refusal_is_not_tried_again(outbox: Any) -> None:
    def refuses(message: Any) -> None:
        raise Refused("never")

    outbox.put(TOLD, ("mail",))
    assert deliver(outbox, mail=refuses) == (["subject: mail failed: never"], [])


def test_what_a_killed_process_left_is_told_by_the_next_one_and_a_way_that_is_gone_is_passed_over(
    outbox: Any, tmp_path: Path
) -> None:
    outbox.put(TOLD, ("webhook", "mail"))
    taken: list[Any] = []
    deliver(Outbox(tmp_path), mail=taken.append)
    assert taken == [TOLD]
    assert not list(outbox.waiting.iterdir())
    assert outbox.lost() == []


def test_whatever_a_way_raises_is_its_answer_and_the_others_are_told(outbox: Any) -> None:
    def broken(message: Any) -> None:
        raise ValueError("Invalid header value b'secret'")

    outbox.put(TOLD, ("webhook", "mail"))
    taken: list[Any] = []
    said, slept = deliver(outbox, webhook=broken, mail=taken.append)
    assert (taken, slept) == ([TOLD], [])
    assert said[0] == "subject: webhook failed: ValueError"
    assert outbox.lost() == ["subject"]


@pytest.mark.parametrize("damaged", ["{", "[]", '{"message": {"kind": "failure"}, "ways": []}', '{"ways": []}'])
def test_a_damaged_file_is_kept_apart_and_the_others_are_told(outbox: Any, damaged: str) -> None:
    outbox.waiting.mkdir(parents=True)
    (outbox.waiting / "0-first.json").write_text(damaged)
    outbox.put(TOLD, ("mail",))
    taken: list[Any] = []
    said, _ = deliver(outbox, mail=taken.append)
    assert taken == [TOLD]
    assert said[0].startswith("0-first.json cannot be processed: ")
    assert not list(outbox.waiting.iterdir())
    assert (outbox.undelivered / "0-first.json").read_text() == damaged
    assert outbox.lost() == ["0-first.json, which is damaged"]


def test_what_cannot_even_be_kept_apart_stays_and_ends_nothing(outbox: Any) -> None:
    outbox.put(TOLD, ("mail",))
    (kept,) = outbox.waiting.iterdir()
    kept.write_text("{")
    outbox.undelivered.write_text("in its place")
    said, _ = deliver(outbox)
    assert said[1].startswith(f"{kept.name} stays where it is: ")
    assert kept.read_text() == "{"


def connected(server: Relay) -> http.client.HTTPConnection:
    host, port = cast(tuple[str, int], server.server_address)
    return http.client.HTTPConnection(host, port, timeout=5)


@dataclass(frozen=True)
class CallableRelay:
    """Posts to a relay when it is called."""

    call: Callable[..., Any]
    receiver: Any

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.call(*arguments, **options)


@pytest.fixture
def relay(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A relay that tells a web server, and how to post to it."""
    with web() as receiver:
        monkeypatch.setenv("ATLASFLOW_NOTIFY__WEBHOOK", receiver.address)
        monkeypatch.setenv("ATLASFLOW_NOTIFY__KINDS", '["failure"]')
        with Relay(0, load(), outbox, SECRET) as server, running(server):

            def call(body: Any, kind: str = "application/json", secret: Any = SECRET, method: str = "POST") -> Any:
                connection = connected(server)
                connection.request(method, "/", body, {"Content-Type": kind, "Authorization": secret})
                answer = connection.getresponse()
                said = json.loads(answer.read())
                connection.close()
                return answer.status, said

            yield CallableRelay(call, receiver)


def test_a_notification_goes_through(relay: Any) -> None:
    assert relay('{"kind": "failure", "name": "train", "state": "Failed"}') == (202, {"wanted": True})
    assert relay.receiver.got.get(timeout=5)[2]["subject"] == "AtlasFlow: train failed"


@pytest.mark.parametrize("secret", ["", "Bearer", "Bearer of-another-home", "Bearer \xe9"])
def test_nobody_gets_in_without_the_secret(relay: Any, secret: str) -> None:
    assert relay('{"kind": "failure", "name": "train"}', secret=secret)[0] == 401
    assert relay(None, secret=secret, method="GET")[0] == 401
    assert relay.receiver.got.empty()


def test_half_of_a_surrogate_pair_in_the_name_of_a_run_is_told_too(relay: Any) -> None:
    said = '{"kind": "failure", "name": "train \\ud800", "state": "Failed", "message": "\\udc00"}'
    assert relay(said) == (202, {"wanted": True})
    body = relay.receiver.got.get(timeout=5)[2]
    assert (body["subject"], body["text"]) == ("AtlasFlow: train ? failed", "?")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_relay_that_would_tell_nothing_any_more_says_so(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(_settings: Any) -> None:
        raise ValueError("unusable")

    monkeypatch.setattr(module, "senders", unusable)
    with Relay(0, load(), outbox, SECRET) as server, running(server):
        server._delivery.join(5)
        connection = connected(server)
        connection.request("GET", "/", headers={"Authorization": SECRET})
        answer = connection.getresponse()
        assert answer.status == 503
        assert "has ended" in json.loads(answer.read())["problem"]
        connection.close()


def test_an_event_that_the_server_acts_on_twice_is_told_once(relay: Any) -> None:
    first = '{"kind": "failure", "name": "train", "event": "01a1"}'
    assert [relay(first), relay(first)] == [(202, {"wanted": True}), (202, {"wanted": False})]
    assert relay(first.replace("01a1", "01a2")) == (202, {"wanted": True})
    assert [relay.receiver.got.get(timeout=5)[2]["event"] for _ in range(2)] == ["01a1", "01a2"]
    assert relay.receiver.got.empty()


def test_a_kind_that_nobody_asked_for_is_dropped(relay: Any) -> None:
    assert relay('{"kind": "promotion"}') == (202, {"wanted": False})
    assert relay.receiver.got.empty()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"kind": "failure"}', "text/plain"),  # what a web page of somebody else could send
        ("{", "application/json"),
        ("", "application/json"),
        ("[1]", "application/json"),
        (" " * 300_000, "application/json"),
    ],
)
def test_what_is_no_notification_is_refused(relay: Any, body: Any, kind: str) -> None:
    try:
        status, _ = relay(body, kind)
    except (ConnectionError, BrokenPipeError):  # it does not even read what is too long
        assert len(body) > 256 * 1024
        status = 400
    assert status == 400
    assert relay.receiver.got.empty()
