"""Temporary keys of a cloud server's agency, from the metadata service of Huawei Cloud.

Source: huaweicloudsdkcore `auth/internal.py`, `MetadataAccessor` (docs/reference/obs.md §2.1).
"""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from infra.errors import Refused, Transient, UserError

_KEYS, _TOKEN = "/openstack/latest/securitykey", "/meta-data/latest/api/token"
_SECONDS = 5
_LIFETIME = {"X-Metadata-Token-Ttl-Seconds": "21600"}
_MOST_BYTES = 100_000


@dataclass(frozen=True)
class TemporaryKeys:
    """Keys that end.

    Attributes:
        access: access key ID.
        secret: secret access key.
        token: security token, which goes with every request.
        expires: when they end, ISO 8601 in UTC.
    """

    access: str
    secret: str
    token: str
    expires: str


def fetch(address: str) -> TemporaryKeys:
    """Ask the metadata service for keys; it gives new ones some time before the old ones end.

    Args:
        address: of the service; on a cloud server `http://169.254.169.254`.

    Raises:
        UserError: the address is no URL.
        Refused: the server has no agency, or the answer cannot be used.
        Transient: nothing answers.
    """
    if not address.startswith("http://"):
        raise UserError(f"obs.agency '{address}' is not an address", hint="write http://169.254.169.254")
    base = address.rstrip("/")
    status, text = _ask(urllib.request.Request(base + _KEYS), base)  # noqa: S310 - http alone, as checked above
    if status == 401:  # servers that demand a token first; without an agency, they answer so for good
        _, token = _ask(urllib.request.Request(base + _TOKEN, headers=_LIFETIME, method="PUT"), base)  # noqa: S310
        status, text = _ask(
            urllib.request.Request(base + _KEYS, headers={"X-Metadata-Token": token}),  # noqa: S310
            base,
        )
    if status >= 500:
        raise Transient(f"the metadata service at {base} answers {status}")
    if status != 200:
        raise Refused(
            f"the metadata service at {base} gives no keys: {status}",
            hint="give this cloud server an agency with the rights for OBS and ModelArts",
        )
    try:
        said = json.loads(text)["credential"]
        keys = TemporaryKeys(*(str(said[name]) for name in ("access", "secret", "securitytoken", "expires_at")))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"the metadata service at {base} gives an unusable answer") from error
    if not keys.access or not keys.secret:
        raise Refused(f"the metadata service at {base} gives empty keys")
    return keys


def _ask(request: urllib.request.Request, base: str) -> tuple[int, str]:
    """Status and text of an answer; a proxy of the environment is never asked, as it has other keys or none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            return int(answer.status), answer.read(_MOST_BYTES).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code), ""
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Transient(
            f"the metadata service at {base} does not answer: {reason}",
            hint="obs.agency works on a cloud server alone; elsewhere set the keys",
        ) from error
