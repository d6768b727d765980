"""The checkout's own Prefect server: one long-lived process with its own database, never an ephemeral one a run."""

import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from infra.services import Service, Services
from infra.settings import PrefectSettings

NAME = "prefect"
PREFERRED_PORT = 4200


def environment(services: Services, home: Path, settings: PrefectSettings) -> Mapping[str, str]:
    """What a process needs in its environment, before it imports Prefect, to use this server and no other."""
    port = settings.port or services.port(NAME, PREFERRED_PORT)
    return {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_UI_URL": f"http://127.0.0.1:{port}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # The command shows its own progress; the server keeps the log of every run.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": os.environ.get("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL"),
    }


def service(services: Services, home: Path, settings: PrefectSettings) -> Service:
    """The server as a local service."""
    port = settings.port or services.port(NAME, PREFERRED_PORT)
    command = (sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    return Service(
        name=NAME,
        title="Prefect server",
        command=command,
        address=f"http://127.0.0.1:{port}",
        ready=lambda: _healthy(port),
        environment=environment(services, home, settings),
        start_seconds=settings.start_seconds,
        stop_seconds=20,
    )


def _healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/api/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False  # not up yet, which is what was asked
