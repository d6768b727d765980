"""The connection of this process to object storage, made from MoXing's environment variables."""

import os
from functools import cache

from infra.errors import UserError
from infra.modelarts.emulator.access import FIELDS
from infra.obs.client import ObsClient, connect
from infra.settings import ObsSettings


def set_auth(
    ak: str | None = None,
    sk: str | None = None,
    server: str | None = None,
    port: int | None = None,
    is_secure: bool | None = None,
    ssl_verify: bool | None = None,  # noqa: ARG001 - MoXing's own
    **_others: object,
) -> None:
    """Change the keys or the server of this process; what is None stays. Certificates are checked all the same.

    Args:
        ak: access key ID.
        sk: secret access key.
        server: host name, or a whole address.
        port: of the server.
        is_secure: use TLS; for a server without a scheme.
        ssl_verify: ignored.
    """
    if ak is not None:
        os.environ["ACCESS_KEY_ID"] = ak
    if sk is not None:
        os.environ["SECRET_ACCESS_KEY"] = sk
    if server is not None:
        os.environ["S3_ENDPOINT"] = server if port is None else f"{server}:{port}"
    if is_secure is not None:
        os.environ["S3_USE_HTTPS"] = "1" if is_secure else "0"
    _open.cache_clear()


def bucket(name: str) -> ObsClient:
    """Return the client of a bucket.

    Raises:
        UserError: the environment names no server.
    """
    if not os.environ.get("S3_ENDPOINT"):
        raise UserError(
            "MoXing knows no object store: S3_ENDPOINT is not set",
            hint='`eval "$(atlasflow twin env)"` sets it, and the keys, for this shell',
        )
    return _open(name)


@cache
def _open(name: str) -> ObsClient:
    values = {field: os.environ[variable] for field, variable in FIELDS.items() if os.environ.get(variable)}
    if "://" not in values["endpoint"]:
        scheme = "http" if os.environ.get("S3_USE_HTTPS") == "0" else "https"
        values["endpoint"] = f"{scheme}://{values['endpoint']}"
    return connect(ObsSettings.model_validate(values | {"bucket": name}), emulated=True)
