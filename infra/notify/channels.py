"""Tell people: by webhook, by e-mail, by a webhook of a cloud. Errors name the way and the host, never an address."""

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict
from email.message import EmailMessage
from http.client import HTTPException
from urllib.parse import urlsplit

from pydantic import SecretStr

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.notify.message import Message
from infra.settings.notify import NotifySettings

# SMN cuts a subject there (its publish request, as Huawei's API reference for SMN describes it).
_SUBJECT = 512


def senders(settings: NotifySettings) -> dict[str, Callable[[Message], None]]:
    """How to tell, by the name of the way; a sender raises `Refused` or `Transient`."""
    known: dict[str, Callable[[Message], None]] = {
        "webhook": lambda message: _post(
            "webhook", settings.webhook, settings.webhook_headers, asdict(message), settings.seconds
        ),
        "mail": lambda message: _mail(settings, message),
        "cloud webhook": lambda message: _post(
            "cloud webhook", settings.cloud_webhook, settings.cloud_headers, _cloud(settings, message), settings.seconds
        ),
    }
    return {way: known[way] for way in settings.ways()}


def _cloud(settings: NotifySettings, message: Message) -> dict[str, str]:
    values = asdict(message)
    return {
        "subject": settings.cloud_subject.format_map(values)[:_SUBJECT],
        "message": settings.cloud_message.format_map(values),
    }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the headers, and with them a secret, to somebody else."""

    def redirect_request(self, *_arguments: object, **_named: object) -> None:
        return None


def _post(
    way: str, address: SecretStr, headers: Mapping[str, SecretStr], body: Mapping[str, str], seconds: float
) -> None:
    place = address.get_secret_value()
    parts = urlsplit(place)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"the address of the {way} is none", hint="it starts with https://")
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        place,
        data=json.dumps(body, ensure_ascii=False).encode(errors="replace"),
        headers={"Content-Type": "application/json; charset=utf-8"}
        | {name: value.get_secret_value() for name, value in headers.items()},
        method="POST",
    )
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=seconds):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise _answered(f"the {way} at {parts.hostname}", error.code) from None
    except (urllib.error.URLError, HTTPException, OSError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        raise Transient(f"the {way} at {parts.hostname} does not answer: {why}") from None


def _answered(who: str, status: int) -> AtlasFlowError:
    if status in (408, 425, 429) or status >= 500:
        return Transient(f"{who} answered with HTTP status {status}")
    return Refused(f"{who} refused with HTTP status {status}", hint="check its address and its headers")


def _mail(settings: NotifySettings, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, settings.mail_from, ", ".join(settings.mail_to)
    mail.set_content("\n\n".join(filter(None, (message.text, message.address))) + "\n")
    host = settings.mail_host
    trusted = ssl.create_default_context()
    try:
        with (
            smtplib.SMTP_SSL(host, settings.mail_port, timeout=settings.seconds, context=trusted)
            if settings.mail_security == "tls"
            else smtplib.SMTP(host, settings.mail_port, timeout=settings.seconds)
        ) as server:
            if settings.mail_security == "starttls":
                server.starttls(context=trusted)
            if settings.mail_user:
                server.login(settings.mail_user, settings.mail_password.get_secret_value())
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        said = f"the mail server {host} answered with {error.smtp_code}"
        if 400 <= error.smtp_code < 500:
            raise Transient(said) from None
        raise Refused(said, hint="check notify.mail_user, its password and the addresses") from None
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
        what = f"the mail server {host} refused: {type(error).__name__}"
        raise Refused(what, hint="check notify.mail_to and notify.mail_security") from None
    except (smtplib.SMTPException, OSError) as error:
        raise Transient(f"the mail server {host} does not answer: {type(error).__name__}") from None
