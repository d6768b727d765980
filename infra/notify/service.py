"""The relay as a local service."""

import sys
from collections.abc import Mapping
from pathlib import Path

from infra.health import answers_http
from infra.home import python_path
from infra.secrets import service_secret
from infra.services import Service, Services

NAME = "notify"


def authorization(home: Path) -> dict[str, str]:
    """The header without which the relay of a home takes nothing."""
    return {"Authorization": f"Bearer {service_secret(home, NAME)}"}


def service(services: Services, home: Path, host: str, profile: str, overrides: Mapping[str, str]) -> Service:
    """How to run the relay with the settings of a profile and the overrides; secrets reach it by its environment."""
    port = services.port(NAME)
    address = f"http://{host}:{port}"
    differing = [word for name, value in overrides.items() for word in ("--set", f"{name}={value}")]
    return Service(
        name=NAME,
        title="notifications",
        command=(sys.executable, "-m", "infra.notify.relay", "--port", str(port), "--profile", profile, *differing),
        address=address,
        port=port,
        ready=lambda: answers_http(address, authorization(home)),
        rebuild=lambda: service(services, home, host, profile, overrides),
        environment={"ATLASFLOW_HOME": str(home), "PYTHONPATH": python_path()},
        secrets=("notify",),
    )
