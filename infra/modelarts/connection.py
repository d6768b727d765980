"""The connection to ModelArts: credentials, the HTTP client of the SDK, and the check of each response's origin."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import huaweicloudsdkmodelarts.v1 as sdk
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.http.http_handler import HttpHandler
from huaweicloudsdkcore.region.region import Region
from requests.adapters import HTTPAdapter

from infra.agency import fetch
from infra.errors import Refused, UserError
from infra.modelarts.codes import STAND_IN_HEADER
from infra.modelarts.errors import map_project_errors
from infra.modelarts.keys import RenewedKeys
from infra.obs.limits import LimitedBody
from infra.proxies import refuse_unusable
from infra.regions import region_of, sibling
from infra.retry import wait_of
from infra.settings import ModelArtsSettings, ObsSettings

_TIMEOUT = (10, 60)  # seconds to connect, to respond


class OriginCheck:
    """Checks that responses come from the stand-in, or from the real platform, as expected.

    Attributes:
        after: seconds that the last response asks to wait before the next request (`Retry-After`).
    """

    def __init__(self, *, emulated: bool) -> None:
        self._emulated = emulated
        self._from_stand_in = emulated
        self.after = 0.0

    def note(self, response: requests.Response, **_: object) -> None:
        """Note where a response comes from: a handler for the SDK.

        Raises:
            Refused: it is a redirect, which the SDK would take for an answer.
        """
        self._from_stand_in = STAND_IN_HEADER in response.headers
        self.after = wait_of(response.headers.get("Retry-After"))
        if 300 <= response.status_code < 400:
            parts = urlsplit(response.headers.get("Location", ""))
            raise Refused(
                f"ModelArts redirects ({response.status_code}) to {parts.scheme}://{parts.netloc}{parts.path}",
                hint="check modelarts.endpoint; is there a login page of a proxy in between?",
            )

    def check(self) -> None:
        """Check the last response.

        Raises:
            Refused: it comes from the stand-in instead of the platform, or the other way round.
        """
        if self._from_stand_in != self._emulated:
            raise Refused(
                "modelarts.endpoint is a stand-in"
                if self._from_stand_in
                else "this is the real ModelArts, not the stand-in",
                hint="leave modelarts.endpoint empty to use the stand-in; its results never count as real",
            )


def open_sdk(
    settings: ModelArtsSettings, obs: ObsSettings, on_response: Callable[..., None]
) -> tuple[Any, RenewedKeys]:
    """Build the SDK's client, and what renews its keys; without a project id, the SDK looks the project up by region.

    Raises:
        UserError: no endpoint, no keys, or no project id where the region has no project, or several.
        Refused: the project lookup rejects the keys.
        Transient: the project lookup gets no response.
    """
    if not settings.endpoint.startswith(("http://", "https://")):
        raise UserError("modelarts.endpoint is not an http:// or https:// URL")
    _check_regions(settings, obs)
    proxies = _proxies(settings.proxy)
    if proxies is None:
        refuse_unusable(settings.endpoint)
    credentials = _credentials(settings, obs)
    builder = (
        sdk.ModelArtsClient.new_builder()
        .with_http_config(HttpConfig(timeout=_TIMEOUT, **_sdk_proxy(settings.proxy)))
        .with_http_handler(HttpHandler().add_response_handler(on_response))
        .with_credentials(credentials)
    )
    if settings.project_id:
        client = builder.with_endpoint(settings.endpoint).build()
    else:
        with map_project_errors():
            client = builder.with_region(Region(obs.region, settings.endpoint)).build()
    # The SDK's own adapter replaces the platform's message for a 429 to a GET with urllib3's. A plain adapter keeps it,
    # and only the private name reaches the session.
    session = client.get_http_client()._session
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(proxies))
    own = bool(settings.access_key.get_secret_value())
    return client, RenewedKeys(credentials, "modelarts" if own else "obs", "" if own else obs.agency)


def _proxies(address: str) -> dict[str, str] | None:
    """Return the proxy of the settings; None for that of the environment.

    Raises:
        UserError: it is not the URL of a proxy.
    """
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError("modelarts.proxy is not a valid URL", hint="write it as http://proxy:3128")
    return {"http": address, "https": address}


def _sdk_proxy(address: str) -> dict[str, Any]:
    """Return the SDK's own options, with which it looks the project up."""
    parts = urlsplit(address)
    return {
        "proxy_protocol": parts.scheme,
        "proxy_host": parts.hostname,
        "proxy_port": parts.port,
        "proxy_user": parts.username,
        "proxy_password": parts.password,
    }


def _check_regions(settings: ModelArtsSettings, obs: ObsSettings) -> None:
    """Check that the platform and the bucket are in one region, as jobs read only buckets of their own.

    Raises:
        UserError: they are not.
    """
    here, there = region_of(settings.endpoint, "modelarts"), region_of(obs.endpoint, "obs")
    if here and there and here != there:
        raise UserError(
            f"modelarts.endpoint is in {here} but obs.endpoint in {there}: a job reads only buckets of its region",
            hint="use the end points of one region",
        )


class _Adapter(HTTPAdapter):
    """Limits the time of whole responses, and asks the proxy of the settings; the SDK's own is for https alone."""

    def __init__(self, proxies: dict[str, str] | None) -> None:
        super().__init__()
        self._proxies = proxies

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        options = options if self._proxies is None else {**options, "proxies": self._proxies}
        response = super().send(request, *args, **options)
        response.raw = LimitedBody(response.raw, 0)
        return response


def _credentials(settings: ModelArtsSettings, obs: ObsSettings) -> BasicCredentials:
    keys = settings if settings.access_key.get_secret_value() else obs
    access, secret = keys.access_key.get_secret_value(), keys.secret_key.get_secret_value()
    token = keys.security_token.get_secret_value()
    if obs.agency and keys is obs:
        given = fetch(obs.agency)
        access, secret, token = given.access, given.secret, given.token
    if not access or not secret:
        raise UserError(
            "the keys for ModelArts are not set",
            hint="set ATLASFLOW_MODELARTS__ACCESS_KEY and …__SECRET_KEY, or those of OBS, which work for both",
        )
    credentials = BasicCredentials(access, secret, settings.project_id or None)
    if token:
        credentials.with_security_token(token)
    # The SDK's own address of IAM is that of myhuaweicloud.com, also for other domains.
    iam = settings.iam_endpoint or sibling(settings.endpoint, "iam")
    if iam:
        credentials.with_iam_endpoint(iam)
    return credentials
