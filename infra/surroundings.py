"""What surrounds a home on this machine, for the doctor: file system, variables, files of the folder, other homes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from infra import proxies
from infra.findings import Finding
from infra.prefect_server import server
from infra.processes import answers, listener
from infra.services import Services
from infra.settings import Settings
from infra.store.locks import hold, is_held

_OTHER_HOME = "set ATLASFLOW_HOME to a folder on a disk of this machine"
_OURS = re.compile(rb"^\s*(?:export\s+)?(?:ATLASFLOW|PREFECT)_|^\s*\[tool\.prefect", re.MULTILINE)
_FILES = (".env", "prefect.toml", "pyproject.toml")


def surroundings(home: Path) -> Iterator[Finding]:
    """Whether locks work where the home is, and which proxies and files of the current folder there are."""
    yield _locks(home)
    yield from _proxies()
    yield from _files(Path.cwd())


def _locks(home: Path) -> Finding:
    """Whether locks work where the home is: a network file system may refuse them, or grant one to everybody."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    try:
        with TemporaryDirectory(dir=place, prefix=".atlasflow-doctor-") as folder:
            path = Path(folder) / "lock"
            with hold(path):
                works = is_held(path)
    except OSError as error:
        return Finding("locks", "wrong", f"{place}: {error.strerror or error}", _OTHER_HOME)
    if not works:
        return Finding("locks", "wrong", f"{place}: a lock does not keep others out", _OTHER_HOME)
    return Finding("locks", "good", f"they work at {place}")


def _proxies() -> Iterator[Finding]:
    """Proxy variables of the environment; this machine's own services are asked without one in any case."""
    unusable = os.environ.get(proxies.UNUSABLE, "").split()
    if unusable:
        found = f"{', '.join(unusable)} names a proxy that is not http:// or https://"
        yield Finding("proxy", "note", found, "where the outside is asked, name an http:// proxy in https_proxy")
    used = sorted(name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy"))
    if used:
        yield Finding("proxy", "good", f"{', '.join(used)}: for the outside only")


def _files(folder: Path) -> Iterator[Finding]:
    """Files that other programs take settings from, and AtlasFlow does not: who wrote them may expect it to."""
    for name in _FILES:
        path = folder / name
        try:
            named = name == "prefect.toml" or _OURS.search(path.read_bytes()) is not None
        except OSError:
            continue
        if named and path.is_file():
            hint = "set what shall count in a profile, as a variable of the shell, or with --set"
            yield Finding(name, "note", f"{path} has settings of AtlasFlow or Prefect, and is not read", hint)


def ports(settings: Settings, services: Services) -> Finding:
    """Which ports of this home's services other programs have, such as the services of another home."""
    fixed = settings.prefect.port
    running = {status.name for status in services.status() if status.running}
    if fixed and server.NAME not in running and answers(fixed):
        return Finding("ports", "wrong", f"{_owner(fixed)} has prefect.port {fixed}", "stop it, or change the setting")
    taken = services.occupied_ports()
    if taken:
        occupied = ", ".join(f"{port} ({name}) by {_owner(port)}" for name, port in taken.items())
        hint = "nothing: these services get other ports when they start"
        return Finding("ports", "note", f"taken: {occupied}", hint)
    return Finding("ports", "good", "no other program uses the port of a local service")


def _owner(port: int) -> str:
    """The program that listens at a port, for people."""
    process = listener(port)
    if process is None:
        return "another program"
    try:
        other = process.environ().get("ATLASFLOW_HOME", "")
        return f"the home {other}" if other else process.name()
    except psutil.Error:
        return "another program"
