"""The Aim repository of a home: a separate program writes each training to it once, and Aim's pages show it.

`home/tracking` contains the repository (`.aim`) and a note for each training: the name of its run in Aim, and whether
that run is complete. A writer that was killed leaves an incomplete run, which the next one replaces.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from infra.errors import AtlasFlowError
from infra.health import answers_http
from infra.home import python_path
from infra.program import run_program
from infra.services import Service, Services
from infra.settings import TrackingSettings
from infra.store.atomic import write_text
from infra.store.locks import hold
from infra.web.access import HEALTH, token_of

NAME = "aim"
OWN = "aim-own"
PREFERRED_PORT = 43_800  # Aim's own
WRITER = Path(__file__).with_name("writer.py")
SERVER = Path(__file__).with_name("server.py")
TOKEN = "AIM_PAGES_TOKEN"  # noqa: S105 - the name of an environment variable
MISSING = "Aim is not installed"
HOW = "`make dev` installs it"
_RUN_PREFIX = "run "
_WRITE_SECONDS = 1800.0


@dataclass(frozen=True)
class Training:
    """A finished training for Aim.

    Attributes:
        key: of its stage.
        experiment: group in Aim.
        name: for people.
        parameters: group to JSON values by name: hyper-parameters, digests, producer.
        history: CSV file with a row for each epoch (`models/training/history.py`).
        steps: CSV file with a row for each step.
        started: when the training began, in seconds since 1970.
        seconds: how long it took.
    """

    key: str
    experiment: str
    name: str
    parameters: Mapping[str, Mapping[str, Any]]
    history: Path
    steps: Path
    started: float
    seconds: float


@dataclass(frozen=True)
class Note:
    """The run of a training in Aim, and whether it is complete (`whole` in its JSON)."""

    run: str
    is_complete: bool

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a note; None when there is none."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(value["run"], value["whole"])

    def write(self, path: Path) -> None:
        """Write the note."""
        write_text(path, json.dumps({"run": self.run, "whole": self.is_complete}))


def installed() -> bool:
    """True when Aim is installed; does not import it."""
    return find_spec("aim") is not None


def run_of(home: Path, key: str) -> str | None:
    """Get the name of a training's run in Aim; None when there is none, or an incomplete one."""
    note = Note.read(_note_file(home, key))
    return note.run if note is not None and note.is_complete else None


def write(home: Path, training: Training) -> bool:
    """Write a training to the home's repository; False when it is there already.

    Raises:
        AtlasFlowError: Aim cannot write; the message quotes its last line.
        Transient: it takes too long.
    """
    folder = home / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    with hold(home / "locks" / "tracking"):
        if run_of(home, training.key) is not None:
            return False
        _run_writer(folder, training, _note_file(home, training.key))
    return True


def _run_writer(folder: Path, training: Training, note: Path) -> None:
    earlier = Note.read(note)
    request = {
        "repository": str(folder),
        "discard": "" if earlier is None else earlier.run,
        "experiment": training.experiment,
        "name": training.name,
        "parameters": training.parameters,
        "history": str(training.history),
        "steps": str(training.steps),
        "started": training.started,
        "seconds": training.seconds,
    }
    run = ""

    def on_line(line: str) -> None:
        nonlocal run
        if line.startswith(_RUN_PREFIX):
            run = line.removeprefix(_RUN_PREFIX)
            Note(run, is_complete=False).write(note)

    # -P: files in the writer's folder must not shadow libraries.
    command = (sys.executable, "-P", str(WRITER), json.dumps(request))
    finished = run_program(command, on_line=on_line, seconds=_WRITE_SECONDS)
    if finished.code != 0:
        said = finished.tail[-1] if finished.tail else f"it ended with code {finished.code}"
        raise AtlasFlowError(f"Aim cannot write the training: {said}", hint=f"its repository is {folder / '.aim'}")
    Note(run, is_complete=True).write(note)


def _note_file(home: Path, key: str) -> Path:
    return home / "tracking" / f"{key}.json"


def page(services: Services, home: Path, settings: TrackingSettings, key: str) -> str | None:
    """Get the address of a training's page, which works while Aim's pages are up; None when it is not tracked."""
    run = run_of(home, key)
    return None if run is None else f"{address(services, settings)}/runs/{run}"


def address(services: Services, settings: TrackingSettings) -> str:
    """Get the address of Aim's pages, without the secret; always the same for a home."""
    return f"http://127.0.0.1:{settings.port or services.port(NAME, PREFERRED_PORT)}"


def pages(services: Services, home: Path, settings: TrackingSettings, own: Path | None = None) -> Service:
    """Aim's pages as a local service; `infra.web.access` says who may open them.

    Args:
        services: of this home.
        home: the folder of this installation.
        settings: of the pages.
        own: folder of another Aim repository, whose pages are a service of their own; None: that of the home.
    """
    folder = own or home / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    name = NAME if own is None else OWN
    shown = address(services, settings) if own is None else f"http://127.0.0.1:{services.port(OWN)}"
    port = shown.rpartition(":")[2]
    return Service(
        name=name,
        title="Aim" if own is None else f"Aim of {own}",
        command=(sys.executable, "-P", str(SERVER), str(folder), port),
        address=shown,
        port=int(port),
        ready=lambda: answers_http(f"{shown}{HEALTH}"),
        environment={TOKEN: token_of(home), "PYTHONPATH": python_path()},
        rebuild=None if settings.port and own is None else lambda: pages(services, home, settings, own),
        start_seconds=60,
    )
