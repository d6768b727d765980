"""One real chain for all tests here, with its services left running, and the driver that forks the cases."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.home import CHECKOUT
from infra.world import World
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.pipeline import STAGES
from tests import boards
from tests.resilience import archive, playback
from tests.resilience.places import BoardFolder, Bucket

BOARD = "laptop"


class Reference:
    """A home in which a real chain has run: real MindSpore, real stand-ins.

    Attributes:
        home: the home.
        settings: of the chain.
        overrides: the same, as on a command line.
        bucket: its bucket.
        board: its board's folder; before the chain there was another release in service.
        first: that release's id.
    """

    def __init__(self, folder: Path) -> None:
        tiny = folder / "tiny.tar.gz"
        archive.write_tiny_archive(tiny)
        self.home = folder / "home"
        self.overrides = archive.overrides(tiny, epochs=1)
        self.settings = archive.tiny_settings(tiny)
        self.world = World(self.settings, self.home)
        self.first = "first"
        self._folder = folder

    def fill(self) -> None:
        """Start the services and run the chain."""
        board = self.world.board(BOARD)
        board.install(boards.signed_by(self.world, boards.release_folder(self._folder / "release", self.first)))
        self.board = BoardFolder(self.home / "boards" / BOARD / "home" / "atlasflow", self._folder / "board")
        chain = Chain(STAGES, self.settings, self.home, self.world, Silent())
        for stage in STAGES:
            chain.run(stage)
        self.bucket = Bucket(self.world, self.home)
        self.release = board.state().active

    def stop(self) -> None:
        for service in self.world.services.status():
            self.world.services.stop(service.name)


class Driver:
    """The process that forks the cases; see `driver.py`."""

    def __init__(self, reference: Any, folder: Any) -> None:
        self._folder = folder
        self._count = 0
        environment = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            playback.RECORDED: str(reference.home / "latest"),
            "OPENBLAS_NUM_THREADS": "1",
        }
        with (folder / "driver.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.resilience.driver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=CHECKOUT,
                env=environment,
            )
        recorded = str(reference.home / "latest")
        setup = {"overrides": reference.overrides, "home": str(reference.home), "recorded": recorded}
        assert self._ask(setup) == "ready"

    def run(self, *cases: Any) -> Any:
        """Run cases (see `driver.Case`) at the same time; gives what each found out, or None after SIGKILL."""
        reports = []
        for case in cases:
            self._count += 1
            reports.append(self._folder / f"{self._count}.json")
            case["report"], case["home"] = str(reports[-1]), str(case["home"])
        found = []
        for code, report in zip(self._ask(cases), reports, strict=True):
            assert code in (0, -signal.SIGKILL), report.with_suffix(".log").read_text()
            found.append(json.loads(report.read_text()) if code == 0 else None)
        return found

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, (self._folder / "driver.log").read_text()
        return json.loads(answer)

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="package")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = Reference(tmp_path_factory.mktemp("reference"))
    try:
        made.fill()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="package")
def driver(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    process = Driver(reference, tmp_path_factory.mktemp("reports"))
    yield process
    process.stop()
