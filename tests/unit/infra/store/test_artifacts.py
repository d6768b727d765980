import stat
from pathlib import Path

import pytest

from infra.errors import Corrupt
from infra.faults import Fault, FaultPlan
from infra.store.artifacts import ArtifactStore
from infra.store.digests import file_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "inner" / "b.txt").write_text("b")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "home")


def test_a_file_is_kept_read_only_under_its_digest(store: ArtifactStore, folder: Path) -> None:
    kept = store.put_file("a.txt", folder / "a.txt", "text/plain")
    assert kept.sha256 == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert store.path(kept).read_text() == "a"
    assert stat.S_IMODE(store.path(kept).stat().st_mode) == 0o444
    assert store.put_file("other name", folder / "a.txt", "text/plain").sha256 == kept.sha256


def test_a_tree_is_the_same_whatever_its_folder_is_called(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    kept = store.put_tree("made", folder)
    folder.rename(tmp_path / "renamed")
    assert store.put_tree("renamed", tmp_path / "renamed").sha256 == kept.sha256
    assert {name: file.path.read_text() for name, file in store.files(kept).items()} == {
        "a.txt": "a",
        "inner/b.txt": "b",
    }
    assert kept.size == 2


def test_a_tree_can_be_shown_in_a_folder(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    kept = store.put_tree("made", folder)
    shown = store.link_into(kept, tmp_path / "shown")
    assert (shown / "inner" / "b.txt").read_text() == "b"
    store.verify(kept, deep=True)


def test_a_flipped_byte_is_noticed_every_time_until_the_bytes_are_put_again(store: ArtifactStore, folder: Path) -> None:
    kept = store.put_tree("made", folder)
    damaged = store.files(kept)["inner/b.txt"].path
    damaged.chmod(0o644)
    damaged.write_text("c")
    for _ in range(2):
        with pytest.raises(Corrupt, match=r"inner/b.txt .* changed on disk"):
            store.verify(kept)
    assert store.put_tree("made", folder) == kept
    store.verify(kept, deep=True)


def test_a_missing_manifest_is_noticed(store: ArtifactStore, folder: Path) -> None:
    kept = store.put_tree("made", folder)
    store.tree_path(kept.sha256).unlink()
    with pytest.raises(Corrupt, match=r"made .* is missing"):
        store.verify(kept)


def test_a_damaged_object_is_replaced_when_the_same_bytes_are_put_again(store: ArtifactStore, folder: Path) -> None:
    kept = store.put_file("a.txt", folder / "a.txt", "text/plain")
    store.path(kept).chmod(0o644)
    store.path(kept).write_text("x")
    store.put_file("a.txt", folder / "a.txt", "text/plain")
    assert store.path(kept).read_text() == "a"


@pytest.mark.parametrize("point", ["object.start", "object.written"])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, folder: Path, point: str) -> None:
    store = ArtifactStore(tmp_path / "home", FaultPlan([Fault("full", point)]))
    with pytest.raises(OSError, match="No space left"):
        store.put_file("a.txt", folder / "a.txt", "text/plain")
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


def test_a_file_that_changes_while_it_is_copied_is_not_kept(
    store: ArtifactStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    monkeypatch.setattr("infra.store.artifacts.shutil.copyfile", lambda _source, target: target.write_bytes(b"other"))
    with pytest.raises(Corrupt, match="changed while it was copied"):
        store.put_file("one", source, "text/plain")
    assert not [path for path in store.object_path(file_digest(source)).parent.iterdir() if path.is_file()]
