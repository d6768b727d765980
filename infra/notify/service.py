"""The relay as a local service."""

import http.client
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from infra.home import CHECKOUT
from infra.services import Service, Services

NAME = "notify"


def service(services: Services, home: Path, profile: str) -> Service:
    """How to run the relay with the settings of a profile; secrets reach it by its environment."""
    port = services.port(NAME)
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return Service(
        name=NAME,
        title="notifications",
        command=(sys.executable, "-m", "infra.notify.relay", "--port", str(port), "--profile", profile),
        address=f"http://127.0.0.1:{port}",
        ready=lambda: _answers(port),
        environment={"ATLASFLOW_HOME": str(home), "PYTHONPATH": os.pathsep.join(paths)},
    )


def _answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False  # not up yet, which is what was asked
