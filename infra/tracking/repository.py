"""The Aim repository of a home: trainings are written to it once, by a program of its own, and shown by Aim's pages.

`home/tracking` holds the repository (`.aim`) and beside it a note for each training: which of Aim's runs is its, and
whether that run is whole. A writer that was killed leaves a note of a run in pieces, which the next one replaces.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
PREFERRED_PORT = 43_800  # Aim's own
WRITER = Path(__file__).with_name("writer.py")
SERVER = Path(__file__).with_name("server.py")
TOKEN = "AIM_PAGES_TOKEN"  # noqa: S105 - the name of an environment variable
MISSING = "Aim is not installed"
HOW = "`make dev` installs it"
_SAID = "run "
_WRITE_SECONDS = 1800.0


@dataclass(frozen=True)
class Training:
    """A finished training, as Aim gets it.

    Attributes:
        key: of its stage.
        experiment: what it is grouped under.
        name: what people call it.
        parameters: group to plain JSON values by name: hyper-parameters, digests, who trained.
        history: CSV file, a row an epoch (`models/training/history.py`).
        steps: likewise, a row a step.
    """

    key: str
    experiment: str
    name: str
    parameters: Mapping[str, Mapping[str, Any]]
    history: Path
    steps: Path


def installed() -> bool:
    """True when Aim is; it is not imported."""
    return find_spec("aim") is not None


def run_of(home: Path, key: str) -> str | None:
    """Aim's name of the run that holds a training; None when there is none, or only a part of one."""
    note = _note(home, key)
    return None if note is None or not note["whole"] else str(note["run"])


def write(home: Path, training: Training) -> bool:
    """Write a training into the home's repository; False when it is there already.

    Raises:
        AtlasFlowError: Aim cannot write; the message quotes its last line.
        Transient: it takes too long.
    """
    folder = home / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    with hold(home / "locks" / "tracking"):
        if run_of(home, training.key) is not None:
            return False
        _run_writer(folder, training, _note(home, training.key))
    return True


def _run_writer(folder: Path, training: Training, earlier: Mapping[str, Any] | None) -> None:
    request = {
        "repository": str(folder),
        "discard": "" if earlier is None else earlier["run"],
        "experiment": training.experiment,
        "name": training.name,
        "parameters": training.parameters,
        "history": str(training.history),
        "steps": str(training.steps),
    }
    path = folder / f"{training.key}.json"
    named = ""

    def hear(line: str) -> None:
        nonlocal named
        if line.startswith(_SAID):
            named = line.removeprefix(_SAID)
            write_text(path, json.dumps({"run": named, "whole": False}))

    # -P: what lies beside the writer must not be taken for a library.
    command = (sys.executable, "-P", str(WRITER), json.dumps(request))
    finished = run_program(command, lines=hear, seconds=_WRITE_SECONDS)
    if finished.code != 0:
        said = finished.tail[-1] if finished.tail else f"it ended with code {finished.code}"
        raise AtlasFlowError(f"Aim cannot write the training: {said}", hint=f"its repository is {folder / '.aim'}")
    write_text(path, json.dumps({"run": named, "whole": True}))


def _note(home: Path, key: str) -> Mapping[str, Any] | None:
    path = home / "tracking" / f"{key}.json"
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def page(services: Services, home: Path, settings: TrackingSettings, key: str) -> str | None:
    """The address of a training's page, which answers while Aim's pages are shown; None when it is not tracked."""
    run = run_of(home, key)
    return None if run is None else f"{address(services, settings)}/runs/{run}"


def address(services: Services, settings: TrackingSettings) -> str:
    """Where a person opens Aim's pages; the same each time."""
    return f"http://127.0.0.1:{settings.port or services.port(NAME, PREFERRED_PORT)}"


def pages(services: Services, home: Path, settings: TrackingSettings) -> Service:
    """Aim's pages as a local service; `infra.web.access` says who may open them."""
    folder = home / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    shown = address(services, settings)
    port = shown.rpartition(":")[2]
    return Service(
        name=NAME,
        title="Aim",
        command=(sys.executable, "-P", str(SERVER), str(folder), port),
        address=shown,
        port=int(port),
        ready=lambda: answers_http(f"{shown}{HEALTH}"),
        environment={TOKEN: token_of(home), "PYTHONPATH": python_path()},
        rebuild=None if settings.port else lambda: pages(services, home, settings),
        start_seconds=60,
    )
