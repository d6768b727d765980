"""The ports of a home's local services: chosen once, then kept, so that addresses survive a restart."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infra.processes import free_port, port_is_free
from infra.store.atomic import write_text
from infra.store.bookkeeping import read_json
from infra.store.locks import hold

FILE = "ports.json"


class Ports:
    """The ports that are written down in `folder`.

    A service and its further ports share the beginning of their names: `objectstore`, `objectstore-master`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, name: str, preferred: int = 0) -> int:
        """The port that belongs to `name`; chosen now where there is none, `preferred` where that is free."""
        with hold(self.folder / "ports.lock"):
            ports = self.known()
            if name not in ports:
                taken = set(ports.values())
                wanted = preferred and preferred not in taken and port_is_free(preferred)
                ports[name] = preferred if wanted else free_port(taken)
                self._write(ports)
            return ports[name]

    def known(self) -> dict[str, int]:
        """The ports that were chosen, by name."""
        return read_json(self.folder / FILE, _port_numbers) or {}

    def taken(self, service: str, services: Iterable[str]) -> list[str]:
        """The names of a stopped service's ports that another program has taken; `services` are the names of all."""
        known = {service, *services}
        own = {name: port for name, port in self.known().items() if owner(name, known) == service}
        return [name for name, port in own.items() if not port_is_free(port)]

    def replace_taken(self, service: str, services: Iterable[str]) -> None:
        """Choose others for them."""
        with hold(self.folder / "ports.lock"):
            ports = self.known()
            for name in self.taken(service, services):
                ports[name] = free_port(set(ports.values()))
            self._write(ports)

    def _write(self, ports: Mapping[str, int]) -> None:
        write_text(self.folder / FILE, json.dumps(ports, indent=1))


def owner(port_name: str, services: Iterable[str]) -> str:
    """The service that a port belongs to by its name; empty where it is none of these."""
    return max(
        (name for name in services if port_name == name or port_name.startswith(f"{name}-")), key=len, default=""
    )


def _port_numbers(body: Any) -> dict[str, int]:
    return {str(name): int(port) for name, port in body.items()}
