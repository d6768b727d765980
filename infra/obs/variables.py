"""The environment variables by which other programs reach the same object store: S3 clients, and Huawei's own."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from infra.settings import ObsSettings

SECRETS = {
    "access_key": ("AWS_ACCESS_KEY_ID", "OBS_ACCESS_KEY_ID"),
    "secret_key": ("AWS_SECRET_ACCESS_KEY", "OBS_SECRET_ACCESS_KEY"),
    "security_token": ("AWS_SESSION_TOKEN", "OBS_SECURITY_TOKEN"),
}
"""Variables of each secret: of the AWS tools, and of `esdk-obs-python`."""


def variables(settings: ObsSettings) -> Mapping[str, str]:
    """Return what other programs need besides the keys.

    Args:
        settings: with an endpoint; those of the stand-in as `infra.obs.emulator.seaweedfs.reached` returns them.
    """
    found = {
        "AWS_ENDPOINT_URL_S3": settings.endpoint,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,  # boto3 reads this one
        "OBS_ENDPOINT": settings.endpoint,
        # OBS refuses what newer AWS tools send by default (docs/reference/obs.md §2.3).
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    if settings.ca:
        found |= {"AWS_CA_BUNDLE": settings.ca, "SSL_CERT_FILE": settings.ca}
    if settings.proxy:
        found |= {f"{urlsplit(settings.endpoint).scheme}_proxy": settings.proxy}
    return found


def keys(settings: ObsSettings, *, emulated: bool) -> Mapping[str, str]:
    """Return the variables with keys: those of the stand-in as they are, others as references to AtlasFlow's own.

    Args:
        settings: with keys.
        emulated: True for the stand-in, whose keys are of use on this machine alone.
    """
    found: dict[str, str] = {}
    for field, names in SECRETS.items():
        value = getattr(settings, field).get_secret_value()
        own = f"$ATLASFLOW_OBS__{field.upper()}"
        found |= dict.fromkeys(names, value if emulated else own) if value else {}
    return found
