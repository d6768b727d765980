"""What `infra/compose.yaml` and `infra/Dockerfile` say, as plain processes: the same commands and environments.

Only what a container changes is put in another's place: host names, ports, folders, and the programs' paths.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

CHECKOUT = Path(__file__).parents[2]
COMPOSE = CHECKOUT / "infra" / "compose.yaml"
DOCKERFILE = CHECKOUT / "infra" / "Dockerfile"
BESIDE = Path(sys.executable).parent
_VARIABLE = re.compile(r"\$\{(\w+):\?\}")
_PLACE = re.compile(r"([a-z0-9.-]+):(\d+)")


def compose() -> Any:
    """The file as a dictionary."""
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


def dockerfile() -> Any:
    """The instructions of the file in order, as (word, rest); continued lines are joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def image_environment() -> Any:
    """The environment that the image sets."""
    return {
        name: value
        for word, rest in dockerfile()
        if word == "ENV"
        for name, _, value in (pair.partition("=") for pair in shlex.split(rest))
    }


def image_health() -> Any:
    """The health check that the image has."""
    rest = next(rest for word, rest in dockerfile() if word == "HEALTHCHECK")
    return json.loads(rest[rest.index("CMD") + 3 :])


@dataclass
class Places:
    """What stands for containers on this machine.

    Attributes:
        folder: for logs.
        given: the variables that compose takes from its `.env`.
        ports: the port in the file → the port here, by service; every host is 127.0.0.1.
        secrets: the folder that stands for /run/secrets.
        extra: added to every environment, for quicker tests.
    """

    folder: Path
    given: dict[str, str]
    ports: dict[str, dict[str, str]]
    secrets: Path
    extra: dict[str, str] = field(default_factory=dict)

    def environment(self, service: Any, home: Any) -> Any:
        """The environment of a service; `home` stands for /var/lib/atlasflow."""
        own = image_environment() | (compose()["services"][service].get("environment") or {})
        own.pop("PATH", None)
        there = {name: self._here(service, str(value), home) for name, value in own.items()}
        there |= {name: "127.0.0.1" for name, value in there.items() if value in self.ports}
        base = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return base | {"HOME": str(home)} | there | self.extra

    def command(self, service: Any, home: Any) -> Any:
        """The argument list of a service."""
        return self._found(service, compose()["services"][service]["command"], home)

    def health_command(self, service: Any, home: Any) -> Any:
        """The argument list of a service's health check: its own, or the image's."""
        own = compose()["services"][service].get("healthcheck", {}).get("test")
        return self._found(service, own[1:] if own else image_health(), home)

    def _found(self, service: Any, command: Any, home: Any) -> Any:
        program, *arguments = command
        beside = BESIDE / program
        found = str(beside) if beside.exists() else shutil.which(program)
        return [found, *(self._here(service, word, home) for word in arguments)]

    def run(self, service: Any, home: Any) -> None:
        """Run a service that ends by itself; it must end well."""
        log = self.folder / f"{service}.log"
        with log.open("wb") as out:
            done = subprocess.run(
                self.command(service, home),
                cwd=CHECKOUT,
                env=self.environment(service, home),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=240,
            )
        assert done.returncode == 0, log.read_text()[-4000:]

    def start(self, service: Any, home: Any, *more: Any) -> Any:
        """Start a service that goes on; `more` is added to its arguments."""
        log = (self.folder / f"{service}.log").open("ab")
        with log:
            return subprocess.Popen(
                [*self.command(service, home), *more],
                cwd=CHECKOUT,
                env=self.environment(service, home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _here(self, service: Any, text: Any, home: Any) -> Any:
        text = _VARIABLE.sub(lambda found: self.given[found[1]], text)
        text = text.replace("/run/secrets", str(self.secrets)).replace("/var/lib/atlasflow", str(home))
        if text == "0.0.0.0":  # noqa: S104 - what is put in its place is 127.0.0.1
            return "127.0.0.1"
        known = {there: here for ports in self.ports.values() for there, here in ports.items()}
        known |= self.ports.get(service, {})  # several services may have the same port, each for itself

        def place(found: Any) -> Any:
            host, port = found.groups()
            there = known if host == "127.0.0.1" else self.ports.get(host, {})
            return f"127.0.0.1:{there[port]}" if port in there else found[0]

        return known.get(text, _PLACE.sub(place, text))


def kill(process: Any) -> None:
    """SIGKILL a process with everything that it started."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.suspend()
    for member in family:
        member.kill()
    process.wait()


def stop(process: Any) -> None:
    """End a process with everything that it started."""
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.kill()
    process.wait()
