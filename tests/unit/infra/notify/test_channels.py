import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.errors import Refused, Transient, UserError
from infra.notify.channels import senders
from infra.notify.message import Message, message
from infra.settings import load
from tests.receivers import post, web

TOLD = Message(
    "failure", "AtlasFlow: train #3 failed", "the disk is full\nsecond line", "http://127.0.0.1:4200/runs/1", "01a1"
)


@pytest.fixture
def receiver() -> Iterator[Any]:
    with web() as here:
        yield here


@pytest.fixture
def mailbox() -> Iterator[Any]:
    with post() as here:
        yield here


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The senders that these settings give; keys as in the section `notify`."""

    def open_senders(**settings: Any) -> Any:
        for key, value in settings.items():
            text = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
            monkeypatch.setenv(f"ATLASFLOW_NOTIFY__{key.upper()}", text)
        return senders(load().notify)

    return open_senders


def test_without_a_setting_nobody_is_told(sender: Any) -> None:
    assert sender() == {}


def test_a_webhook_gets_everything_as_json_with_the_headers(sender: Any, receiver: Any) -> None:
    sender(webhook=receiver.address, webhook_headers={"Authorization": "Bearer key"})["webhook"](TOLD)
    path, headers, body = receiver.got.get(timeout=5)
    assert path == "/path-that-is-a-secret"
    assert headers["Authorization"] == "Bearer key"
    assert headers["Content-Type"].startswith("application/json")
    assert body == {
        "kind": "failure",
        "subject": TOLD.subject,
        "text": TOLD.text,
        "address": TOLD.address,
        "event": "01a1",
    }


def test_half_of_a_surrogate_pair_is_sent_as_a_question_mark(sender: Any, receiver: Any) -> None:
    sender(webhook=receiver.address)["webhook"](replace(TOLD, subject="train \ud800 failed"))
    assert receiver.got.get(timeout=5)[2]["subject"] == "train ? failed"


def test_a_cloud_gets_subject_and_message_by_its_templates(sender: Any, receiver: Any) -> None:
    sender(
        cloud_webhook=receiver.address,
        cloud_headers={"X-Auth-Token": "token"},
        cloud_subject="[{kind}] {subject}" + "x" * 600,
        cloud_message="{text} ({address})",
    )["cloud webhook"](TOLD)
    _, headers, body = receiver.got.get(timeout=5)
    assert headers["X-Auth-Token"] == "token"
    assert body["message"] == f"{TOLD.text} ({TOLD.address})"
    assert body["subject"].startswith("[failure] AtlasFlow: train #3 failed")
    assert len(body["subject"]) == 512


def test_a_mail_reaches_its_receivers(sender: Any, mailbox: Any) -> None:
    mail = {"mail_host": "127.0.0.1", "mail_port": mailbox.port, "mail_security": "none", "mail_from": "a@b.example"}
    to = ["one@b.example", "two@b.example"]
    sender(**mail, mail_to=to, mail_user="me", mail_password="pass word")["mail"](TOLD)
    login, receivers, found = mailbox.got.get(timeout=5)
    assert (login, receivers) == (("me", "pass word"), to)
    assert (found["Subject"], found["From"], found["To"]) == (TOLD.subject, "a@b.example", ", ".join(to))
    assert found.get_content().replace("\r\n", "\n") == f"{TOLD.text}\n\n{TOLD.address}\n"


@pytest.mark.parametrize(("status", "kind"), [(500, Transient), (429, Transient), (404, Refused), (302, Refused)])
def test_what_a_webhook_answers_decides_whether_it_is_tried_again(
    sender: Any, receiver: Any, status: int, kind: Any
) -> None:
    receiver.statuses.append(status)
    receiver.headers["Location"] = f"{receiver.address}/elsewhere"
    with pytest.raises(kind, match=f"the webhook at 127.0.0.1 .* {status}") as raised:
        sender(webhook=receiver.address)["webhook"](TOLD)
    assert "secret" not in str(raised.value)
    assert receiver.got.qsize() == 1, "a redirect is not followed: it would carry the headers away"


def test_who_does_not_answer_is_named_without_the_secret_part_of_its_address(sender: Any, receiver: Any) -> None:
    port = receiver.address.split(":")[2].split("/")[0]
    address = receiver.address.replace(port, "9")  # the discard port, where nothing listens
    with pytest.raises(Transient, match=r"the webhook at 127\.0\.0\.1 does not answer") as raised:
        sender(webhook=address)["webhook"](TOLD)
    assert "secret" not in str(raised.value)
    mail = sender(mail_host="127.0.0.1", mail_port=9, mail_security="none", mail_to=["a@b.example"])["mail"]
    with pytest.raises(Transient, match=r"the mail server 127\.0\.0\.1 does not answer"):
        mail(TOLD)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "https://", "nonsense"])
def test_only_web_addresses_are_asked(sender: Any, address: str) -> None:
    with pytest.raises(UserError, match="not a valid URL: webhook"):
        sender(webhook=address)["webhook"](TOLD)


@pytest.mark.parametrize(("answer", "kind"), [("451 later", Transient), ("550 never", Refused)])
def test_what_a_mail_server_answers_decides_whether_it_is_tried_again(
    sender: Any, mailbox: Any, answer: str, kind: Any
) -> None:
    mailbox.refuses = answer
    settings = {"mail_port": mailbox.port, "mail_security": "none", "mail_to": ["a@b.example"]}
    with pytest.raises(kind, match=f"answered with {answer[:3]}"):
        sender(mail_host="127.0.0.1", **settings)["mail"](TOLD)


def test_a_mail_server_that_cannot_encrypt_is_not_trusted_with_a_password(sender: Any, mailbox: Any) -> None:
    settings = {"mail_port": mailbox.port, "mail_to": ["a@b.example"], "mail_user": "me", "mail_password": "secret"}
    with pytest.raises(Refused, match="SMTPNotSupportedError"):
        sender(mail_host="127.0.0.1", **settings)["mail"](TOLD)
    assert mailbox.got.empty()


@pytest.mark.parametrize(
    ("said", "subject", "text"),
    [
        (
            {
                "kind": "failure",
                "name": "train\r\nBcc: x",
                "state": "Crashed",
                "message": "why\nwhere",
                "address": None,
            },
            "AtlasFlow: train Bcc: x crashed",
            "why\nwhere",
        ),
        (
            {"kind": "promotion", "resource": "champion", "payload": {"release": "r2", "why": "better"}},
            "AtlasFlow: a challenger is the new champion (champion)",
            "release: r2\nwhy: better",
        ),
        (
            {"kind": "fallback", "resource": "board roof", "payload": None},
            "AtlasFlow: a board fell back to its previous release (board roof)",
            "a board fell back to its previous release",
        ),
        ({"kind": "failure"}, "AtlasFlow: a run failed", "It gave no reason."),
    ],
)
def test_an_event_becomes_words(said: Any, subject: str, text: str) -> None:
    found = message(said)
    assert (found.subject, found.text) == (subject, text)


@pytest.mark.parametrize("said", [None, [], {}, {"kind": "other"}, "text"])
def test_what_is_no_notification_is_refused(said: Any) -> None:
    with pytest.raises(UserError, match="not a notification"):
        message(said)
