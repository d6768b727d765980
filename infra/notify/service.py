"""The relay as a local service."""

import sys
from collections.abc import Mapping
from pathlib import Path

from infra.home import python_path
from infra.services import Service, Services, answers_http

NAME = "notify"


def service(services: Services, home: Path, host: str, profile: str, overrides: Mapping[str, str]) -> Service:
    """How to run the relay with the settings of a profile and what differs; secrets reach it by its environment."""
    port = str(services.port(NAME))
    address = f"http://{host}:{port}"
    differing = [word for name, value in overrides.items() for word in ("--set", f"{name}={value}")]
    return Service(
        name=NAME,
        title="notifications",
        command=(sys.executable, "-m", "infra.notify.relay", "--port", port, "--profile", profile, *differing),
        address=address,
        ready=lambda: answers_http(address),
        environment={"ATLASFLOW_HOME": str(home), "PYTHONPATH": python_path()},
    )
