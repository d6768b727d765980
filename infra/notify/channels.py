"""Notify people by webhook, e-mail or a cloud's webhook. Errors name the channel and the host, never a URL."""

import json
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.notify.message import Message
from infra.proxies import refuse_unusable
from infra.settings.notify import NotifySettings

# SMN cuts a subject there (its publish request, as Huawei's API reference for SMN describes it).
_SUBJECT = 512


def senders(settings: NotifySettings) -> dict[str, Callable[[Message], None]]:
    """The senders of the channels that the settings name, by channel; one raises `Refused` or `Transient`."""
    known: dict[str, Callable[[Message], None]] = {
        "webhook": lambda message: _post(
            "webhook", settings.webhook, settings.webhook_headers, asdict(message), settings.seconds
        ),
        "mail": lambda message: _mail(settings, message),
        "cloud webhook": lambda message: _post(
            "cloud webhook", settings.cloud_webhook, settings.cloud_headers, _cloud(settings, message), settings.seconds
        ),
    }
    return {channel: known[channel] for channel in settings.ways()}


def _cloud(settings: NotifySettings, message: Message) -> dict[str, str]:
    values = asdict(message)
    return {
        "subject": settings.cloud_subject.format_map(values)[:_SUBJECT],
        "message": settings.cloud_message.format_map(values),
    }


def _post(
    channel: str, address: SecretStr, headers: Mapping[str, SecretStr], body: Mapping[str, str], seconds: float
) -> None:
    url = address.get_secret_value()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"not a valid URL: {channel}", hint="it starts with https://")
    refuse_unusable(url)
    try:
        answer = httpx.post(
            url,
            content=json.dumps(body, ensure_ascii=False).encode(errors="replace"),
            headers={"Content-Type": "application/json; charset=utf-8"}
            | {name: value.get_secret_value() for name, value in headers.items()},
            timeout=seconds,
            follow_redirects=False,  # one would carry the headers, and with them a secret, to another host
        )
    except httpx.InvalidURL:
        raise UserError(f"not a valid URL: {channel}", hint="it starts with https://") from None
    except httpx.HTTPError as error:
        # Other texts may quote a header or the URL.
        why = str(error) if isinstance(error, httpx.ConnectError) else type(error).__name__
        raise Transient(f"the {channel} at {parts.hostname} does not answer: {why}") from None
    if not answer.is_success:
        raise _status_error(f"the {channel} at {parts.hostname}", answer.status_code)


def _status_error(receiver: str, status: int) -> AtlasFlowError:
    if status in (408, 425, 429) or status >= 500:
        return Transient(f"{receiver} answered with HTTP status {status}")
    return Refused(f"{receiver} refused with HTTP status {status}", hint="check its address and its headers")


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
        answer = f"the mail server {host} answered with {error.smtp_code}"
        if 400 <= error.smtp_code < 500:
            raise Transient(answer) from None
        raise Refused(answer, hint="check notify.mail_user, its password and the addresses") from None
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
        refusal = f"the mail server {host} refused: {type(error).__name__}"
        raise Refused(refusal, hint="check notify.mail_to and notify.mail_security") from None
    except (smtplib.SMTPException, OSError) as error:
        raise Transient(f"the mail server {host} does not answer: {type(error).__name__}") from None
