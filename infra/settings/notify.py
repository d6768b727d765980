"""Settings of the notifications of failures, promotions, board fallbacks and stalled jobs."""

import string
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from infra.settings.section import Section

Kind = Literal["failure", "promotion", "fallback", "stall"]
FIELDS = ("kind", "subject", "text", "address")


class NotifySettings(Section):
    """Channels; each is on when its address is set. Secrets come from the environment or secret files."""

    kinds: tuple[Kind, ...] = Field(("failure", "promotion", "fallback", "stall"), description="events to notify of")
    webhook: SecretStr = Field(SecretStr(""), description="URL that receives each notification as JSON")
    webhook_headers: dict[str, SecretStr] = Field({}, description='HTTP headers, such as {"Authorization": "Bearer …"}')
    mail_host: str = Field("", description="SMTP server; empty: no e-mail")
    mail_port: int = Field(587, ge=1, le=65_535, description="port of the SMTP server")
    mail_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="tls: implicit TLS, as at port 465"
    )
    mail_user: str = Field("", description="SMTP user; empty: no login")
    mail_password: SecretStr = Field(SecretStr(""), description="SMTP password")
    mail_from: str = Field("atlasflow@localhost", description="sender address")
    mail_to: tuple[str, ...] = Field((), description="recipient addresses")
    cloud_webhook: SecretStr = Field(
        SecretStr(""),
        description="URL that receives {subject, message} as JSON, such as the publish URL of an SMN topic",
    )
    cloud_headers: dict[str, SecretStr] = Field({}, description='HTTP headers, such as {"X-Auth-Token": "…"}')
    cloud_subject: str = Field("{subject}", description=f"template; its fields: {', '.join(FIELDS)}")
    cloud_message: str = Field("{text}\n{address}", description="template of the message, with the same fields")
    relay_host: str = Field(
        "127.0.0.1", description="address of this machine at which the Prefect server calls the relay"
    )
    seconds: float = Field(10, gt=0, le=120, description="timeout of a receiver, in seconds")

    @field_validator("cloud_subject", "cloud_message")
    @classmethod
    def _has_known_fields(cls, template: str) -> str:
        unknown = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None} - set(FIELDS)
        if unknown:
            raise ValueError(f"the template names {', '.join(sorted(unknown))}; it may name {', '.join(FIELDS)}")
        return template

    @model_validator(mode="after")
    def _mail_has_receivers(self) -> Self:
        if self.mail_host and not self.mail_to:
            raise ValueError("mail_host is set, but mail_to names nobody")
        return self

    def ways(self) -> tuple[str, ...]:
        """The ways that are set."""
        addresses = {
            "webhook": self.webhook.get_secret_value(),
            "mail": self.mail_host,
            "cloud webhook": self.cloud_webhook.get_secret_value(),
        }
        return tuple(name for name, address in addresses.items() if address)
