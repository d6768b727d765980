import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from infra.board.release_folder import releases_in
from infra.errors import Corrupt, Refused, UserError
from infra.fleet import KEPT_ROLLOUTS, Fleet, Log
from infra.ports.values import LocalFile
from infra.store.artifacts import ArtifactStore, folder_files
from tests import boards


@pytest.fixture
def fleet(tmp_path: Path) -> Any:
    return Fleet(tmp_path / "home")


def described(folder: Any, identifier: str = "r1", **facts: Any) -> Any:
    folder.mkdir(parents=True)
    said = {"id": identifier, "soc_version": "Ascend310", "emulated": True, **facts}
    (folder / "release.json").write_text(json.dumps(said))
    (folder / "model.om").write_bytes(identifier.encode())
    return folder


def files(folder: Any) -> Any:
    return folder_files(folder)[1]


def test_the_last_wanted_release_of_a_board_counts(fleet: Any) -> None:
    assert fleet.wanted() == {}
    for board, release in (("a", "r1"), ("b", "r1"), ("a", "r2")):
        fleet.want(release, board)
    assert fleet.wanted() == {"a": "r2", "b": "r1"}
    fleet.forget_history()
    assert fleet.wanted() == {"a": "r2", "b": "r1"}
    assert len((fleet.folder / "wanted.jsonl").read_text().splitlines()) == 2


def test_an_incomplete_line_is_ignored(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.append({"event": 1})
    with log.path.open("ab") as file:
        file.write(b'{"event": 2')
    log.append({"event": 3})
    assert log.events() == [{"event": 1}, {"event": 3}]


def test_a_release_is_one_folder_or_one_a_chip(tmp_path: Path) -> None:
    described(tmp_path / "flat", cann="7.0.0")
    (release,) = releases_in(files(tmp_path / "flat"), "here").values()
    assert (release.id, release.soc_version, release.emulated, release.cann) == ("r1", "Ascend310", True, "7.0.0")
    assert set(release.files) == {"release.json", "model.om"}
    for soc in ("Ascend310", "Ascend310B4"):
        described(tmp_path / "both" / soc, soc_version=soc)
    found = releases_in(files(tmp_path / "both"), "here")
    assert set(found) == {"Ascend310", "Ascend310B4"}
    assert set(found["Ascend310B4"].files) == {"release.json", "model.om"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder.mkdir(), "holds no release"),
        (lambda folder: described(folder / "a" / "b" / "c"), "holds no release"),
        (lambda folder: (described(folder / "a"), described(folder / "b", "r2", soc_version="x")), "several releases"),
        (lambda folder: (described(folder) / "release.json").write_text("{"), "is damaged"),
        (lambda folder: (described(folder) / "release.json").write_text("{}"), "is damaged"),
        (lambda folder: (described(folder) / "release.json").write_text("[]"), "is damaged"),
        (lambda folder: described(folder, "../../evil"), "cannot name a release"),
    ],
)
def test_what_is_no_release(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "r")
    with pytest.raises(UserError, match=words):
        releases_in(files(tmp_path / "r"), "here")


def test_a_release_is_kept(fleet: Any, tmp_path: Path) -> None:
    kept = fleet.keep(files(boards.release_folder(tmp_path / "r", "r1")), "here")
    again = Fleet(fleet.folder.parent).release("r1")
    assert {soc: asdict(release) for soc, release in kept.items()} == {
        soc: asdict(release) for soc, release in again.items()
    }
    assert str(kept["Ascend310"].files["model.om"].path).startswith(str(fleet.folder))
    with pytest.raises(UserError, match="not kept"):
        fleet.release("r2")


def test_a_damaged_release_is_not_kept(fleet: Any, tmp_path: Path) -> None:
    given = files(described(tmp_path / "r"))
    (tmp_path / "r" / "model.om").write_bytes(b"other")
    with pytest.raises(Corrupt, match=r"model\.om is not what its digest says"):
        fleet.keep(given, "here")
    (tmp_path / "r" / "model.om").write_bytes(b"r1")
    assert fleet.keep(given, "here")


def test_what_nobody_needs_goes(fleet: Any, tmp_path: Path) -> None:
    for identifier in ("r1", "r2", "r3"):
        fleet.keep(files(described(tmp_path / identifier, identifier)), "here")
    fleet.want("r1", "a")
    for number in range(KEPT_ROLLOUTS + 1):
        release = "r2" if number else "r3"
        fleet.rollout(f"{number:03}").append({"event": "planned", "release": release})
    fleet.forget_history()
    assert len(fleet.rollouts()) == KEPT_ROLLOUTS
    assert sorted(path.name for path in (fleet.folder / "releases").iterdir()) == ["r1", "r2"]


def test_one_rollout_at_a_time(fleet: Any) -> None:
    with fleet.carrying_out(), pytest.raises(Refused, match="under way"), Fleet(fleet.folder.parent).carrying_out():
        pass
    with fleet.carrying_out():
        pass


def test_files_keep_their_digests(fleet: Any, tmp_path: Path) -> None:
    described(tmp_path / "r")
    wrong = {name: LocalFile(file.path, "0" * 64, file.size) for name, file in files(tmp_path / "r").items()}
    with pytest.raises(Corrupt):
        fleet.keep(wrong, "here")
    assert not (fleet.folder / "releases" / "r1").exists()


def test_a_release_of_the_store_is_linked_and_outlives_it(tmp_path: Path) -> None:
    """A fleet's release costs no space twice, and `gc` of the store leaves it whole."""
    home = tmp_path / "home"
    store = ArtifactStore(home)
    kept = store.files(store.put_tree("release", described(tmp_path / "r")))
    (release,) = Fleet(home).keep(kept, "the store").values()
    for name, file in release.files.items():
        assert file.path.stat().st_ino == kept[name].path.stat().st_ino
        assert not file.path.is_symlink()
        kept[name].path.unlink()
    assert Fleet(home).release("r1")["Ascend310"].files["model.om"].path.read_bytes() == b"r1"


def test_a_release_from_elsewhere_is_copied(fleet: Fleet, tmp_path: Path) -> None:
    """Its files may change in place later."""
    described(tmp_path / "r")
    (release,) = fleet.keep(files(tmp_path / "r"), "here").values()
    (tmp_path / "r" / "model.om").write_bytes(b"other")
    assert release.files["model.om"].path.read_bytes() == b"r1"


@pytest.mark.parametrize("identifier", ["../r1", "/", "", "a/b", "r1\n"])
def test_an_id_that_is_a_path_is_no_release(fleet: Fleet, tmp_path: Path, identifier: str) -> None:
    fleet.keep(files(described(tmp_path / "r")), "here")
    with pytest.raises(UserError, match="is not kept here"):
        fleet.release(identifier)


def test_a_rollout_whose_plan_is_incomplete_has_never_begun(fleet: Fleet) -> None:
    fleet.rollout("20260101-000000-000-a").append({"event": "planned"})
    for name, text in (("empty", ""), ("torn", '{"event": "plan')):
        fleet.rollout(name).path.write_text(text)
    assert fleet.rollouts() == ["20260101-000000-000-a"]
