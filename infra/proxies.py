"""Proxy variables: what listens on this machine is never asked through one, and one that cannot be used is named."""

import os
from collections.abc import MutableMapping
from urllib.parse import urlsplit

from infra.errors import UserError

UNUSABLE = "ATLASFLOW_UNUSABLE_PROXIES"
"""Names the variables that were taken out of the environment, for this process and those that it starts."""
_LOCAL = ("127.0.0.1", "localhost", "::1")
_USABLE = ("http", "https")
_NAMES = ("http_proxy", "https_proxy", "all_proxy")


def prepare(environment: MutableMapping[str, str] = os.environ) -> None:
    """Keep proxies away from this machine's own services, in this process and those that it starts. Idempotent.

    A proxy that is not of HTTP, such as `socks5://`, ends HTTP libraries even where it is not asked: it is taken out,
    and `refuse_unusable` names it where the outside is asked.
    """
    unusable = environment.get(UNUSABLE, "").split()
    for name in [name for name in environment if name.lower() in _NAMES]:
        if _scheme(environment[name]) not in _USABLE:
            del environment[name]
            unusable.append(name)
    if unusable:
        environment[UNUSABLE] = " ".join(dict.fromkeys(unusable))
    if not any(name.lower() in _NAMES for name in environment):
        return
    listed = [name.strip() for name in (environment.get("no_proxy") or environment.get("NO_PROXY", "")).split(",")]
    both = ",".join(dict.fromkeys([*filter(None, listed), *_LOCAL]))
    environment.update(no_proxy=both, NO_PROXY=both)


def refuse_unusable(address: str) -> None:
    """Refuse to ask an address of the outside where the environment names a proxy for it that cannot be used.

    Raises:
        UserError: it does, and names the variable.
    """
    parts = urlsplit(address)
    if parts.hostname is None or parts.hostname in _LOCAL or parts.hostname.startswith("127."):
        return
    for name in os.environ.get(UNUSABLE, "").split():
        if name.lower() in ("all_proxy", f"{parts.scheme}_proxy"):
            raise UserError(
                f"{parts.hostname} cannot be asked: {name} names a proxy that is not http:// or https://",
                hint=f"name an http:// proxy in https_proxy, or unset {name}",
            )


def _scheme(address: str) -> str:
    """The scheme of a proxy; `HOST:PORT` alone means http, and an empty value no proxy."""
    return address.partition("://")[0].lower() if "://" in address else "http"
