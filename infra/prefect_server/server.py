"""The Prefect server: the one that `PREFECT_API_URL` names, else the checkout's own.

The own one is a long-lived process with its own database, never an ephemeral one a run. One that the environment names
is somebody else's: it is used, and neither started nor stopped here.
"""

import base64
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.errors import Refused, Transient, UserError
from infra.health import answers_http
from infra.home import python_path
from infra.proxies import refuse_unusable
from infra.secrets import secret_file, service_secret
from infra.services import Service, Services
from infra.settings import PrefectSettings

NAME = "prefect"
PREFERRED_PORT = 4200
HEARTBEAT_SECONDS = 30
"""How often a flow run says that it lives; Prefect allows no less."""
VARIABLE = "PREFECT_API_URL"
AUTH_VARIABLE = "PREFECT_API_AUTH_STRING"
_SECONDS = 10
_SERVER = {
    # The newer interface asks a tracking service of the outside for its configuration; the classic one asks nobody.
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # Leases that are kept in memory alone would leave their slots taken for ever when the server is restarted.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # Otherwise it keeps every run for ever.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    # Its loops look at the database every 5 to 20 s by default, which costs an idle machine some percent of a core.
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "15",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "30",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "30",
}
"""Settings of our own server."""


def outside(services: Services, settings: PrefectSettings) -> str | None:
    """The API address of an outside server, as the environment names it; None where our own is used.

    Processes that we start find our own server's address in the same variable.
    """
    named = os.environ.get(VARIABLE, "").rstrip("/")
    ours = settings.port or services.ports.known().get(NAME)
    return None if named in ("", f"http://127.0.0.1:{ours}/api") else named


def address(services: Services, settings: PrefectSettings) -> str:
    """Where a person opens the server that is used."""
    named = outside(services, settings)
    if named is not None:
        return os.environ.get("PREFECT_UI_URL", named.removesuffix("/api"))
    return f"http://127.0.0.1:{settings.port or services.port(NAME, PREFERRED_PORT)}"


def note(services: Services, settings: PrefectSettings) -> str:
    """What to say where the server that is used is not ours; empty where it is."""
    if outside(services, settings) is None:
        return ""
    place = address(services, settings)
    return f"The Prefect server at {place} is not ours ({VARIABLE}): it is used, and neither started nor stopped here."


def environment(services: Services, home: Path, settings: PrefectSettings) -> Mapping[str, str]:
    """What a process needs in its environment, before it imports Prefect, to use this server and no other.

    It holds the login of our own server; for an outside one, `PREFECT_API_AUTH_STRING` stays as it is.
    """
    api = outside(services, settings)
    seen = address(services, settings)
    return {
        "PREFECT_HOME": str(home / "prefect"),
        VARIABLE: api or f"{seen}/api",
        **({} if api else {AUTH_VARIABLE: login(home)}),
        "PREFECT_UI_URL": seen,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        # The command shows its own progress; the server keeps the log of every run.
        # An error a second for each part that cannot reach a server that is gone: the watch says it once.
        "PREFECT_LOGGING_INTERNAL_LEVEL": os.environ.get("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL"),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": os.environ.get("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL"),
    }


def start(services: Services, home: Path, settings: PrefectSettings) -> bool:
    """Make sure that the server answers: start ours when it is not up, ask an outside one. True when it was started.

    Raises:
        Transient: it does not answer.
        UserError: an outside one wants other credentials, or is no Prefect server.
    """
    named = outside(services, settings)
    if named is None:
        return services.start(service(services, home, settings))
    outside_version(named)
    return False


def service(services: Services, home: Path, settings: PrefectSettings) -> Service:
    """Our own server as a local service; it answers only to who knows its login, and only at its own address."""
    port = settings.port or services.port(NAME, PREFERRED_PORT)
    own = f"http://127.0.0.1:{port}"
    return Service(
        name=NAME,
        title="Prefect server",
        command=(sys.executable, "-m", "infra.prefect_server.launch", "--port", str(port)),
        address=own,
        port=port,
        ready=lambda: answers_http(f"{own}/api/health"),
        rebuild=None if settings.port else lambda: service(services, home, settings),
        environment={
            **environment(services, home, settings),
            **_SERVER,
            # Nothing else names the database: neither a variable for another server, nor a file in a folder.
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect' / 'prefect.db'}",
            "PREFECT_SERVER_API_AUTH_STRING": login(home),
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"{own},http://localhost:{port}",
            "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(settings.keep_days * 86_400),
            "PYTHONPATH": python_path(),
        },
        start_seconds=settings.start_seconds,
        stop_seconds=20,
    )


def login(home: Path) -> str:
    """User and password of our own server, as its login page takes them: `atlasflow:PASSWORD`."""
    return service_secret(home, NAME, prefix="atlasflow:")


def login_note(services: Services, home: Path, settings: PrefectSettings) -> str:
    """How a person logs in to our own server; empty where an outside one is used."""
    return "" if outside(services, settings) else f"log in to its page with the content of {secret_file(home, NAME)}"


def credentials() -> dict[str, str]:
    """The header by which an outside server knows us, from Prefect's own variables; empty where it asks for none."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if text := os.environ.get(AUTH_VARIABLE):
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
    return {}


def outside_version(api: str) -> str:
    """The version of the server at `api`; empty where it tells none, as Prefect's cloud.

    Raises:
        Transient: it does not answer.
        UserError: it wants other credentials, or is no Prefect server.
        Refused: its version is not one that we can talk to.
    """
    import httpx  # noqa: PLC0415 - a run that finds everything fresh asks no server

    refuse_unusable(api)
    hint = f"start that server, or unset {VARIABLE} to use this machine's own"
    try:
        answer = httpx.get(f"{api}/admin/version", headers=credentials(), timeout=_SECONDS)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise UserError(f"{VARIABLE} is '{api}'", hint="write http://HOST:PORT/api") from None
    except httpx.HTTPError as error:
        raise Transient(f"the Prefect server at {api} does not answer: {error}", hint=hint) from None
    said = f"{answer.status_code} {answer.reason_phrase}"
    if answer.status_code in (401, 403):
        raise UserError(
            f"the Prefect server at {api} refuses us: {said}",
            hint=f"set {AUTH_VARIABLE} to what the server has in PREFECT_SERVER_API_AUTH_STRING",
        )
    if answer.status_code == 404 and "PREFECT_API_KEY" in os.environ:
        return ""
    if answer.status_code == 404:
        raise UserError(f"there is no Prefect API at {api}", hint=f"{VARIABLE} ends in /api")
    if not answer.is_success:
        raise Transient(f"the Prefect server at {api} answers {said}", hint=hint)
    try:
        version = str(answer.json())
    except ValueError:
        raise UserError(f"what answers at {api} is no Prefect server", hint=f"correct {VARIABLE}") from None
    if not version.startswith("3."):
        raise Refused(f"the Prefect server at {api} has version {version}", hint="version 3 is wanted")
    return version
