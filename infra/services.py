"""Local services: start once, find again, check their health, stop. Each belongs to one AtlasFlow home."""

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infra.errors import Refused, Transient
from infra.store.atomic import write_text
from infra.store.locks import hold


@dataclass(frozen=True)
class Service:
    """How to run one service.

    Attributes:
        name: also names its log and its state file.
        title: what people call it; says `stand-in` where it is one.
        command: the argument list.
        address: what a person would open or connect to.
        ready: True once it answers.
        environment: added to ours; may hold secrets, so it is never written or shown.
        start_seconds: how long it may take to answer.
        stop_seconds: how long it may take to end after SIGTERM.
    """

    name: str
    title: str
    command: tuple[str, ...]
    address: str
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
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


class Services:
    """The services of one home; state, logs and chosen ports lie in `home/services`."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "services"

    def port(self, name: str, preferred: int = 0) -> int:
        """The port that belongs to `name`: chosen once, then kept, so that addresses survive a restart."""
        book = self.folder / "ports.json"
        with hold(self.folder / "ports.lock"):
            ports: dict[str, int] = json.loads(book.read_text()) if book.exists() else {}
            if name not in ports:
                taken = set(ports.values())
                ports[name] = preferred if preferred not in taken and _free(preferred) else _any_free(taken)
                write_text(book, json.dumps(ports, indent=1))
            return ports[name]

    def known_port(self, name: str) -> int | None:
        """The port that belongs to `name`; None where none was chosen yet."""
        book = self.folder / "ports.json"
        ports: dict[str, int] = json.loads(book.read_text()) if book.exists() else {}
        return ports.get(name)

    def strangers(self) -> dict[str, int]:
        """Ports that belong to services which do not run, and where something answers all the same, by name."""
        book = self.folder / "ports.json"
        ports: dict[str, int] = json.loads(book.read_text()) if book.exists() else {}
        ours = tuple(status.name for status in self.status() if status.running)
        return {
            name: port
            for name, port in ports.items()
            if answers(port) and not any(name == own or name.startswith(f"{own}-") for own in ours)
        }

    def start(self, service: Service) -> bool:
        """Start a service unless it runs; wait until it answers. True when it was started now.

        Raises:
            Transient: it ended or did not answer in time; the message quotes its log.
            Refused: a program that is not ours answers in its place.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with hold(self.folder / f"{service.name}.lock"):
            if self._process(service.name) is not None:
                self._wait(service, self._process(service.name))
                return False
            if service.ready():
                raise Refused(
                    f"something else answers at {service.address}, where {service.title} belongs",
                    hint=f"stop that program, or remove '{service.name}' from {self.folder / 'ports.json'}",
                )
            process = psutil.Process(_spawn(service, self.folder / f"{service.name}.log"))
            state = {
                "pid": process.pid,
                "created": process.create_time(),
                "title": service.title,
                "address": service.address,
                "stop_seconds": service.stop_seconds,
            }
            write_text(self.folder / f"{service.name}.json", json.dumps(state, indent=1))
            try:
                self._wait(service, process)
            except BaseException:
                self._end(service.name)
                raise
            return True

    def stop(self, name: str) -> bool:
        """Stop one service by the process id that we noted; True when it ran."""
        with hold(self.folder / f"{name}.lock"):
            return self._end(name)

    def status(self) -> list[Status]:
        """All services that were ever started here."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            if path.name == "ports.json":
                continue
            state = json.loads(path.read_text())
            process = self._process(path.stem)
            memory = 0 if process is None else _memory(process)
            found.append(
                Status(
                    path.stem,
                    state["title"],
                    state["address"],
                    process is not None,
                    None if process is None else process.pid,
                    memory,
                )
            )
        return found

    def _process(self, name: str) -> psutil.Process | None:
        """The living process that we started under this name; a process id that was given away anew does not count."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        state = json.loads(path.read_text())
        try:
            process = psutil.Process(state["pid"])
            same = abs(process.create_time() - state["created"]) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _wait(self, service: Service, process: psutil.Process | None) -> None:
        deadline = time.monotonic() + service.start_seconds
        while not service.ready():
            if process is None or not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                raise Transient(f"{service.title} ended while starting", hint=self._log_tail(service.name))
            if time.monotonic() > deadline:
                raise Transient(
                    f"{service.title} did not answer at {service.address} within {service.start_seconds:.0f} s",
                    hint=self._log_tail(service.name),
                )
            time.sleep(0.05)

    def _end(self, name: str) -> bool:
        process = self._process(name)
        if process is None:
            return False
        state = json.loads((self.folder / f"{name}.json").read_text())
        family = [process, *process.children(recursive=True)]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=state["stop_seconds"])
        for straggler in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                straggler.kill()
        psutil.wait_procs(alive, timeout=5)
        return True

    def _log_tail(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines()[-8:]
        return f"see {path}" + "".join(f"\n    {line}" for line in lines)


def _spawn(service: Service, log: Path) -> int:
    """Start the program in a session of its own and return its process id; it is to outlive this process."""
    return os.posix_spawnp(
        service.command[0],
        service.command,
        {**os.environ, **service.environment},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def answers(port: int) -> bool:
    """True when something listens on 127.0.0.1 at `port`."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers_http(address: str) -> bool:
    """True when a web server of this machine answers 200 there; no proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False  # not up yet, which is what was asked


def secret(path: Path) -> str:
    """A random secret of this home: made once, readable by its owner alone."""
    with hold(path.with_suffix(".lock")):
        if not path.exists():
            write_text(path, secrets.token_urlsafe(24), mode=0o600)
        return path.read_text()


def _memory(process: psutil.Process) -> int:
    total = 0
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total


def _free(port: int) -> bool:
    if port == 0:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken and port < 55_000:  # SeaweedFS also takes port + 10000
            return port
