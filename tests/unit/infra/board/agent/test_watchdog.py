"""A new release whose first live images fail gives way to the previous one, without any network."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from infra.atc.emulator.om import pack_om
from infra.board.agent.probation import LIVE_IMAGES
from infra.board.agent.releases import Releases
from infra.board.agent.watchdog import DEATHS
from infra.ports.release import Release
from infra.store.local_files import describe_folder
from tests import boards

pytestmark = pytest.mark.program


@pytest.fixture
def board(tmp_path: Path) -> Any:
    """A board with release `good` in service, and a function that puts another one into service."""
    boards.give_keyring(tmp_path / "board")
    releases = Releases(str(tmp_path / "board"))
    releases.lock(0, "a test")

    def install(identifier: Any, change: Any = lambda folder: None) -> Any:
        source = boards.release_folder(tmp_path / identifier, identifier)
        change(source)
        built = boards.signed(Release(identifier, describe_folder(source), "Ascend310", True))
        plan = releases.plan(built.manifest)
        for name in plan["missing"]:
            shutil.copy(source / name, f"{plan['folder']}/{name}{plan['part']}")
        releases.settle()
        releases.switch({})
        releases.held.let_go()
        return tmp_path / "board" / "releases" / identifier

    install("good")
    releases.lock(0, "a test")
    return releases, install


def not_a_number(folder: Any) -> None:
    """The network gives NaN for some pictures: the smoke test, had it been run, may have missed it."""
    matrix = boards.weights()
    matrix[:, 3] = np.nan
    network = onnx.load_from_string(boards.linear_onnx(matrix))
    network.graph.initializer[0].CopyFrom(numpy_helper.from_array(matrix, "matrix"))
    model = replace(boards.linear_om(matrix), onnx=network.SerializeToString())
    (folder / "model.om").write_bytes(pack_om(model))


def test_wrong_first_images_bring_the_old_release_back(board: Any, tmp_path: Path) -> None:
    releases, install = board
    folder = install("bad", not_a_number)
    assert releases.state()["active"] == "bad"
    finished = boards.run_agent(folder, "classify", "--json", boards.picture(tmp_path / "p.png"))
    assert finished.returncode == 3
    error = json.loads(finished.stdout)["error"]
    assert "NaN or infinite" in error["message"]
    assert "release good is back in service" in error["hint"]
    assert releases.state()["active"] == "good"
    last = releases.journal.entries()[-1]
    assert (last["event"], last["release"]) == ("rollback", "good")
    assert last["reason"].startswith("first live images failed")


def test_watch_is_guarded_too(board: Any, tmp_path: Path) -> None:
    releases, install = board
    folder = install("bad", not_a_number)
    (tmp_path / "in").mkdir()
    boards.picture(tmp_path / "in" / "p.png")
    finished = boards.run_agent(folder, "watch", "--interval", "0.01", "--looks", "2", tmp_path / "in")
    assert finished.returncode == 3
    assert releases.state()["active"] == "good"


def test_a_model_that_cannot_be_loaded_at_all(board: Any, tmp_path: Path) -> None:
    releases, install = board
    folder = install("bad", lambda source: (source / "model.om").write_bytes(b"IMOD"))
    finished = boards.run_agent(folder, "classify", boards.picture(tmp_path / "p.png"))
    assert finished.returncode == 6
    assert releases.state()["active"] == "good"


def test_a_good_release_earns_trust(board: Any, tmp_path: Path) -> None:
    releases, install = board
    folder = install("better")
    picture = boards.picture(tmp_path / "p.png")
    assert boards.run_agent(folder, "classify", *[picture] * (LIVE_IMAGES - 1)).returncode == 0
    assert releases.probation.of("better").images == 1
    assert boards.run_agent(folder, "classify", picture).returncode == 0
    assert releases.probation.of("better").images == 0
    assert releases.journal.entries()[-1]["event"] == "trusted"
    not_a_number(folder)  # from now on trouble is for people to judge
    assert boards.run_agent(folder, "classify", picture).returncode == 3
    assert releases.state()["active"] == "better"


def test_wrong_pictures_say_nothing_about_a_release(board: Any, tmp_path: Path) -> None:
    releases, install = board
    folder = install("better")
    (tmp_path / "broken.png").write_bytes(b"x")
    assert boards.run_agent(folder, "classify", tmp_path / "broken.png").returncode == 2
    assert releases.state()["active"] == "better"
    assert releases.probation.of("better").images == LIVE_IMAGES


def test_a_busy_device_does_not_roll_back(board: Any, tmp_path: Path) -> None:
    releases, install = board
    folder = install("better")
    (tmp_path / "acl.py").write_text("def init():\n    return 207018\n")
    environment = {"PYTHONPATH": str(tmp_path)}
    finished = boards.run_agent(folder, "classify", boards.picture(tmp_path / "p.png"), environment=environment)
    assert finished.returncode == 5
    assert releases.state()["active"] == "better"


def dying(folder: Any) -> None:
    """A program that the operating system ends in the middle of an inference, as a crash of the driver does."""
    model = folder / "agent" / "model.py"
    model.write_text(model.read_text().replace("done = []", "import os\n        os.kill(os.getpid(), 9)", 1))


def test_a_program_that_dies_again_and_again_gives_way(board: Any, tmp_path: Path) -> None:
    releases, install = board
    folder = install("bad", dying)
    picture = boards.picture(tmp_path / "p.png")
    for deaths in range(DEATHS):
        assert releases.probation.of("bad").deaths == deaths
        assert boards.run_agent(folder, "classify", picture).returncode == -9
        assert releases.state()["active"] == "bad"
    finished = boards.run_agent(folder, "classify", picture)
    assert finished.returncode == 3
    assert "release good is back in service" in finished.stderr
    assert releases.state()["active"] == "good"
    assert "died 3 times" in releases.journal.entries()[-1]["reason"]


def test_a_proper_end_takes_deaths_back(board: Any, tmp_path: Path) -> None:
    releases, install = board
    folder = install("better")
    releases.probation.record("better", LIVE_IMAGES, DEATHS - 1)
    (tmp_path / "broken.png").write_bytes(b"x")
    assert boards.run_agent(folder, "classify", tmp_path / "broken.png").returncode == 2
    assert releases.probation.of("better") == (LIVE_IMAGES, 0)
    assert boards.run_agent(folder, "classify", boards.picture(tmp_path / "p.png")).returncode == 0
    assert releases.probation.of("better") == (LIVE_IMAGES - 1, 0)
