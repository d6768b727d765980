"""The environment variables that tell MoXing its keys and its server."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from infra.settings import ObsSettings

FIELDS = {
    "access_key": "ACCESS_KEY_ID",
    "secret_key": "SECRET_ACCESS_KEY",
    "security_token": "SECURITY_TOKEN",
    "endpoint": "S3_ENDPOINT",
    "region": "S3_REGION",
    "ca": "S3_CA_FILE",
    "proxy": "S3_PROXY",
}
"""Field of the settings to variable; the last two are the stand-in's own."""


def variables(obs: "ObsSettings") -> dict[str, str]:
    """Return the environment variables with which a process reaches this object store."""
    values = {name: getattr(obs, name) for name in FIELDS}
    texts = {
        FIELDS[name]: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in values.items()
    }
    secure = "1" if obs.endpoint.startswith("https") else "0"
    return {name: value for name, value in texts.items() if value} | {"S3_USE_HTTPS": secure, "S3_VERIFY_SSL": "0"}


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of the variables that an environment holds."""
    return {name: environment[name] for name in FIELDS.values() if name in environment}
