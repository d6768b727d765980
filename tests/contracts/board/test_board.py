"""What every Board keeps to: the stand-in's own SSH server, and a real OpenSSH server in front of such a home."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from infra.board.client import SshBoard
from infra.errors import GateFailed, Refused
from infra.fleet import Fleet
from infra.ports.release import Release
from infra.ports.upkeep import Observations
from infra.settings.drift import DriftSettings
from infra.store.artifacts import folder_files
from infra.world import World
from models import preprocess
from tasks.release.drift_baseline import FILE, reference
from tasks.retrain.drift import reason, survey
from tests import boards
from tests.cifar10 import CLASSES
from tests.contracts.board.site import NAME, Site, root, snapshot


def test_facts_say_that_it_is_a_stand_in(board: SshBoard) -> None:
    facts = board.facts()
    assert facts.emulated
    assert (facts.name, facts.soc_version, facts.cann, facts.npu) == (NAME, "Ascend310", "stand-in", "310 OK")
    assert facts.free_bytes > 0
    assert facts.python.startswith("3.")
    assert facts.architecture == os.uname().machine


def test_a_new_board_runs_nothing(board: SshBoard) -> None:
    state = board.state()
    assert (state.active, state.previous, state.releases) == (None, None, ())


def test_install_puts_a_release_into_service(board: SshBoard, site: Site, tmp_path: Path) -> None:
    release = boards.release(tmp_path / "r")
    moved: list[int] = []
    installed = board.install(release, moved.append)
    assert installed.changed
    assert installed.files_sent == len(release.files)
    assert installed.bytes_sent == sum(moved) == sum(file.size for file in release.files.values())
    assert installed.smoke is not None
    assert installed.smoke.agreement == 1.0
    assert installed.smoke.max_difference <= 1e-3
    assert board.state().active == release.id
    assert (root(site) / "current" / "model.om").read_bytes() == (tmp_path / "r" / "model.om").read_bytes()


def test_a_second_install_changes_nothing(board: SshBoard, site: Site, tmp_path: Path) -> None:
    release = boards.release(tmp_path / "r")
    first = board.install(release)
    before = snapshot(root(site))
    second = board.install(release)
    assert (second.changed, second.files_sent, second.bytes_sent) == (False, 0, 0)
    assert second.smoke == first.smoke
    assert snapshot(root(site)) == before


def test_only_new_files_are_copied(board: SshBoard, site: Site, tmp_path: Path) -> None:
    board.install(boards.release(tmp_path / "a", "a"))
    installed = board.install(boards.release(tmp_path / "b", "b", seed=7))
    assert installed.files_sent == 4  # model, golden logits, their classes, description
    state = board.state()
    assert (state.active, state.previous, state.releases) == ("b", "a", ("a", "b"))


def test_rollback_brings_the_previous_release_back(board: SshBoard, tmp_path: Path) -> None:
    board.install(boards.release(tmp_path / "a", "a"))
    with pytest.raises(Refused, match="no previous release"):
        board.rollback()
    board.install(boards.release(tmp_path / "b", "b", seed=7))
    state = board.rollback()
    assert (state.active, state.previous) == ("a", "b")
    assert [entry.event for entry in board.status().journal] == ["switch", "switch", "rollback"]


def test_a_release_that_fails_its_smoke_test_never_serves(board: SshBoard, site: Site, tmp_path: Path) -> None:
    wrong = boards.release(tmp_path / "wrong", "wrong", wrong=0.5)
    with pytest.raises(GateFailed, match="smoke test failed"):
        board.install(wrong)
    assert board.state().active is None
    board.install(boards.release(tmp_path / "a", "a"))
    with pytest.raises(GateFailed, match="release a stays in service"):
        board.install(boards.release(tmp_path / "again", "again", wrong=0.5))
    assert board.state().active == "a"


def test_a_bad_release_of_the_same_id_changes_nothing(board: SshBoard, site: Site, tmp_path: Path) -> None:
    board.install(boards.release(tmp_path / "a", "a"))
    release = boards.release(tmp_path / "b", "b", seed=7)
    board.install(release)
    # The same id now comes with golden outputs that the board cannot give; the release in service is not touched.
    with pytest.raises(GateFailed, match="release b stays in service"):
        board.install(boards.release(tmp_path / "b2", "b", seed=7, wrong=1.0))
    assert board.state().active == "b"
    assert board.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")[0].top


def test_pictures_are_classified_and_fetched(board: SshBoard, site: Site, tmp_path: Path) -> None:
    board.install(boards.release(tmp_path / "r"))
    picture = boards.picture(tmp_path / 'it\'s $(a) "picture"; & more.png')
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    answer, problem = board.classify([picture, broken], tmp_path / "out")
    pixels = np.asarray(Image.open(picture))[np.newaxis]
    expected = preprocess.best(boards.logits(pixels, boards.weights()), CLASSES)
    assert [label for label, _ in answer.top] == [label for label, _ in expected]
    assert [p for _, p in answer.top] == pytest.approx([p for _, p in expected], abs=1e-5)
    assert answer.milliseconds > 0
    assert answer.annotated is not None
    with Image.open(answer.annotated) as annotated:
        assert min(annotated.size) >= 256
    assert problem.top == ()
    assert problem.problem
    assert str(site.home) not in problem.problem


def test_prune_keeps_the_active_and_the_previous_release(board: SshBoard, site: Site, tmp_path: Path) -> None:
    for number, identifier in enumerate("abcd"):
        board.install(boards.release(tmp_path / identifier, identifier, seed=number))
    assert sorted(board.prune(keep=0)) == ["a", "b"]
    state = board.state()
    assert (state.active, state.previous, state.releases) == ("d", "c", ("c", "d"))
    assert sorted(path.name for path in (root(site) / "releases").iterdir()) == ["c", "d"]


def test_a_model_is_tried_without_being_installed(board: SshBoard, site: Site, tmp_path: Path) -> None:
    board.install(boards.release(tmp_path / "a", "a"))
    before = snapshot(root(site))
    pixels = boards.images(7, seed=3)
    np.save(tmp_path / "images.npy", pixels)
    milliseconds = board.infer(
        boards.release_folder(tmp_path / "b", "b", seed=7), tmp_path / "images.npy", tmp_path / "logits.npy"
    )
    assert milliseconds > 0
    expected = boards.logits(pixels, boards.weights(7))
    assert np.allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-4)
    kept = {path: mark for path, mark in snapshot(root(site)).items() if path.name != "work"}
    # The folder of the releases itself changes its time when `work` is made in it.
    assert kept.keys() == {path for path in before if path.name != "work"}, "nothing of the trial is left"
    assert board.state().active == "a"


def observed(board: SshBoard) -> Observations:
    observations = board.observations()
    assert observations is not None
    return observations


def test_observations_show_drift(board: SshBoard, site: Site, tmp_path: Path) -> None:
    folder = boards.release_folder(tmp_path / "r")
    pictures = boards.images(40, seed=8)
    answers = boards.logits(pictures, boards.weights())
    (folder / FILE).write_text(json.dumps(reference(pictures, answers, preprocess.Contract(32))))
    files = folder_files(folder)[1]
    fleet = Fleet(tmp_path / "home")
    fleet.keep(files, "here")
    board.install(boards.signed(Release("first", files, "Ascend310", True)))
    assert board.observations() is None
    camera = tmp_path / "camera"
    camera.mkdir()

    def watched(shown: Any, name: Any) -> Any:
        for index, pixels in enumerate(shown):
            Image.fromarray(pixels).save(camera / f"{name}-{index}.png")
        program = root(site) / "current"
        finished = boards.run_agent(program, "watch", "--interval", "0.01", "--looks", "3", camera)
        assert finished.returncode == 0, finished.stderr
        limits = DriftSettings(min_images=40)
        (found,) = survey(cast(World, SimpleNamespace(board=lambda _: board)), fleet, [NAME], limits)
        return found

    calm = watched(pictures, "day")
    assert (calm.found, calm.images, max(calm.indices.values())) == ("steady", 40, 0.0)
    (camera / "torn.png").write_bytes(b"no picture")
    dark = watched(pictures // 8, "night")
    assert (dark.found, dark.images, observed(board).skipped) == ("drifted", 80, 1)
    assert all(f"{colour} (" in reason([dark]) for colour in ("red", "green", "blue"))
    assert reason([dark]).startswith(f"board {NAME} sees other images: ")
    board.install(boards.release(tmp_path / "second", "second", seed=4))
    assert observed(board).release == "first"  # until its program watches
    unknown = watched(pictures[:3], "next")
    assert (observed(board).release, observed(board).images) == ("second", 3)
    assert (unknown.found, unknown.message) == ("unknown", "release second is not kept here")
