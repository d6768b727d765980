"""What the local services inherit of our environment."""

import os
from collections.abc import Iterable

_PREFIX, _SECRETS_FOLDER = "ATLASFLOW_", "ATLASFLOW_SECRETS_DIR"
_CLOUD_KEYS = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"}


def inherited(sections: Iterable[str]) -> dict[str, str]:
    """Our environment without the secrets of the settings, but for those of some sections, and without cloud keys."""
    from infra.settings import secret_names  # noqa: PLC0415 - only a start needs it

    allowed, secret = set(sections), secret_names()
    found = {}
    for name, value in os.environ.items():
        section, *keys = name.removeprefix(_PREFIX).lower().split("__")
        is_secret = name.startswith(_PREFIX) and (not secret.isdisjoint(keys) or name == _SECRETS_FOLDER)
        if (is_secret and section not in allowed and not (name == _SECRETS_FOLDER and allowed)) or name in _CLOUD_KEYS:
            continue
        found[name] = value
    return found
