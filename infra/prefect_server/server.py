"""The Prefect server: the one that `PREFECT_API_URL` names, else the checkout's own.

The own one is a long-lived process with its own database, never an ephemeral one a run. One that the environment names
is somebody else's: it is used, and neither started nor stopped here.
"""

import base64
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from infra.errors import Refused, Transient, UserError
from infra.home import python_path
from infra.services import Service, Services
from infra.settings import PrefectSettings

NAME = "prefect"
PREFERRED_PORT = 4200
HEARTBEAT_SECONDS = 30
"""How often a flow run says that it lives; Prefect allows no less."""
VARIABLE = "PREFECT_API_URL"
_SECONDS = 10


def outside(services: Services, settings: PrefectSettings) -> str | None:
    """The API address of a server that is not ours, as the environment names it; None where ours is used.

    Processes that we start find our own server's address in the same variable, which makes it nobody else's.
    """
    named = os.environ.get(VARIABLE, "").rstrip("/")
    ours = settings.port or services.known_port(NAME)
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
    """What a process needs in its environment, before it imports Prefect, to use this server and no other."""
    seen = address(services, settings)
    return {
        "PREFECT_HOME": str(home / "prefect"),
        VARIABLE: outside(services, settings) or f"{seen}/api",
        "PREFECT_UI_URL": seen,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # The newer interface asks a tracking service of the outside for its configuration; the classic one asks nobody.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Leases that are kept in memory alone would leave their slots taken for ever when the server is restarted.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # Otherwise it keeps every run for ever.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(settings.keep_days * 86_400),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        # The command shows its own progress; the server keeps the log of every run.
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
    """Our own server as a local service."""
    port = settings.port or services.port(NAME, PREFERRED_PORT)
    server = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    return Service(
        name=NAME,
        title="Prefect server",
        command=(sys.executable, "-m", "infra.prefect_server.background_gc", *server),
        address=f"http://127.0.0.1:{port}",
        ready=lambda: _healthy(port),
        environment={**environment(services, home, settings), "PYTHONPATH": python_path()},
        start_seconds=settings.start_seconds,
        stop_seconds=20,
    )


def credentials() -> dict[str, str]:
    """The header by which the server knows us, from Prefect's own variables; empty where it asks for none."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if text := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
    return {}


def outside_version(api: str) -> str:
    """The version of the server at `api`; empty where it tells none, as Prefect's cloud.

    Raises:
        Transient: it does not answer.
        UserError: it wants other credentials, or is no Prefect server.
        Refused: its version is not one that we can talk to.
    """
    hint = f"start that server, or unset {VARIABLE} to use this machine's own"
    try:
        request = urllib.request.Request(f"{api}/admin/version", headers=credentials())  # noqa: S310 - http(s), below
        if request.type not in ("http", "https"):
            raise UserError(f"{VARIABLE} is '{api}'", hint="write http://HOST:PORT/api")
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - checked above
            version = json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise UserError(
                f"the Prefect server at {api} refuses us: {error.code} {error.reason}",
                hint="set PREFECT_API_AUTH_STRING to what the server has in PREFECT_SERVER_API_AUTH_STRING",
            ) from None
        if error.code == 404 and "PREFECT_API_KEY" in os.environ:
            return ""
        if error.code == 404:
            raise UserError(f"there is no Prefect API at {api}", hint=f"{VARIABLE} ends in /api") from None
        raise Transient(f"the Prefect server at {api} answers {error.code} {error.reason}", hint=hint) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise Transient(f"the Prefect server at {api} does not answer: {reason}", hint=hint) from None
    except ValueError:
        raise UserError(f"what answers at {api} is no Prefect server", hint=f"correct {VARIABLE}") from None
    if not str(version).startswith("3."):
        raise Refused(f"the Prefect server at {api} has version {version}", hint="version 3 is wanted")
    return str(version)


def _healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/api/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False  # not up yet, which is what was asked
