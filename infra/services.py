"""Local services: start once, find again, check their health, stop. Each belongs to one AtlasFlow home."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from infra.environment import inherited
from infra.errors import Refused, Transient, UserError
from infra.processes import alive, answers, end, listens, memory, port_is_free, spawn
from infra.service_ports import FILE as PORTS_FILE
from infra.service_ports import Ports, owner
from infra.store.atomic import write_text
from infra.store.bookkeeping import read_json
from infra.store.locks import hold

_ATTEMPTS = 5
"""How often a service starts at most, each time with other ports, when other programs take its ports."""
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Service:
    """How to run one service.

    Attributes:
        name: also names its log and its state file.
        title: what people call it; says `stand-in` where it is one.
        command: the argument list; no secrets, since every user of the machine can read it.
        address: what a person would open or connect to.
        port: where it listens on this machine.
        ready: True once it answers; asked only while the service itself listens at the port.
        rebuild: builds it anew with other ports; None where a setting fixes its port.
        environment: added to what it inherits; may hold secrets, so it is never written or shown.
        secrets: sections of the settings whose secrets it needs from our environment; it inherits no others.
        start_seconds: how long it may take to answer.
        stop_seconds: how long it may take to end after SIGTERM.
    """

    name: str
    title: str
    command: tuple[str, ...]
    address: str
    port: int
    ready: Callable[[], bool]
    rebuild: "Callable[[], Service] | None" = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = ()
    start_seconds: float = 30
    stop_seconds: float = 10


@dataclass(frozen=True)
class Status:
    """What is known of a service: `running` means that the process we started is alive."""

    name: str
    title: str
    address: str
    running: bool
    pid: int | None
    memory: int


@dataclass(frozen=True)
class _State:
    """What was written down of a service when it started; version 0.1 wrote no port."""

    pid: int
    created: float
    title: str
    address: str
    stop_seconds: float
    port: int | None


class Services:
    """The services of one home; state, logs and chosen ports are in `home/services`."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "services"
        self.ports = Ports(self.folder)

    def port(self, name: str, preferred: int = 0) -> int:
        """The port that belongs to `name`, chosen once (`Ports.of`)."""
        return self.ports.of(name, preferred)

    def occupied_ports(self) -> dict[str, int]:
        """Ports of services that do not run, and where another program listens, by name."""
        running = [status.name for status in self.status() if status.running]
        return {name: port for name, port in self.ports.known().items() if not owner(name, running) and answers(port)}

    def start(self, service: Service) -> bool:
        """Start a service unless it runs; wait until it answers. True when it was started now.

        When another program has one of its ports, such as the server of another home, it gets other ports.

        Raises:
            Transient: it ended or did not answer in time; the message quotes its log.
            Refused: another program listens at its port, which a setting fixes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with hold(self.folder / f"{service.name}.lock"):
            process = self._process(service.name)
            state = self._state(service.name)
            if process is not None and (state is None or state.port is None):
                # Version 0.1 started it, without a secret.
                self._end(service.name)
                process = None
            if process is not None:
                self._wait(service, process)
                return False
            for attempt in range(_ATTEMPTS):
                self._replace_occupied_ports(service)
                # Built anew even if its own ports are free: it may name the port of a service that has moved.
                service = service.rebuild() if service.rebuild is not None else service
                try:
                    self._launch(service)
                except Transient:
                    if attempt == _ATTEMPTS - 1 or not self.ports.taken(service.name, self._names()):
                        raise
                else:
                    return True
        raise AssertionError("the loop returns or raises")

    def stop(self, name: str) -> bool:
        """Stop one service by its recorded process id; True when it ran."""
        with hold(self.folder / f"{name}.lock"):
            return self._end(name)

    def address(self, name: str) -> str:
        """Where a service that was started answers."""
        state = self._state(name)
        if state is None:
            raise UserError(f"{name} was never started here", hint="`atlasflow up` starts the services")
        return state.address

    def status(self) -> list[Status]:
        """All services that were ever started here."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            if path.name == PORTS_FILE:
                continue
            state = self._state(path.stem)
            if state is None:
                continue
            process = self._process(path.stem)
            pid, used = (None, 0) if process is None else (process.pid, memory(process))
            found.append(Status(path.stem, state.title, state.address, process is not None, pid, used))
        return found

    def _names(self) -> list[str]:
        return [status.name for status in self.status()]

    def _replace_occupied_ports(self, service: Service) -> None:
        if service.rebuild is None:
            if not port_is_free(service.port):
                raise Refused(
                    f"another program listens at port {service.port}, which is set for {service.title}",
                    hint="stop that program, or change the setting",
                )
            return
        self.ports.replace_taken(service.name, self._names())

    def _launch(self, service: Service) -> None:
        process = spawn(
            service.command, {**inherited(service.secrets), **service.environment}, self.folder / f"{service.name}.log"
        )
        state = {
            "pid": process.pid,
            "created": process.create_time(),
            "title": service.title,
            "address": service.address,
            "port": service.port,
            "stop_seconds": service.stop_seconds,
        }
        write_text(self.folder / f"{service.name}.json", json.dumps(state, indent=1))
        try:
            self._wait(service, process)
        except BaseException:
            self._end(service.name)
            raise

    def _state(self, name: str) -> _State | None:
        return read_json(self.folder / f"{name}.json", _read_state)

    def _process(self, name: str) -> psutil.Process | None:
        """The living process that was started under this name; a process id that was given away anew does not count."""
        state = self._state(name)
        if state is None:
            return None
        try:
            process = psutil.Process(state.pid)
            return process if abs(process.create_time() - state.created) < 1 and alive(process) else None
        except psutil.NoSuchProcess:
            return None

    def _wait(self, service: Service, process: psutil.Process) -> None:
        """Wait until the service answers; a server of somebody else at its port is never asked, nor told a secret."""
        deadline = time.monotonic() + service.start_seconds
        while not (listens(process, service.port) and service.ready()):
            if not alive(process):
                raise Transient(f"{service.title} ended while starting", hint=self._log_tail(service.name))
            if time.monotonic() > deadline:
                raise Transient(
                    f"{service.title} did not answer at {service.address} within {service.start_seconds:.0f} s",
                    hint=self._log_tail(service.name),
                )
            time.sleep(_POLL_SECONDS)

    def _end(self, name: str) -> bool:
        process, state = self._process(name), self._state(name)
        if process is None or state is None:
            return False
        end(process, state.stop_seconds)
        return True

    def _log_tail(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines()[-8:]
        return f"see {path}" + "".join(f"\n    {line}" for line in lines)


def _read_state(body: Any) -> _State:
    port = None if body.get("port") is None else int(body["port"])
    times = body["created"] + 0.0, body["stop_seconds"] + 0
    return _State(int(body["pid"]), times[0], str(body["title"]), str(body["address"]), times[1], port)
