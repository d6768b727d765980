"""Sync OBS: what is fetched, repaired, and kept."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.modelarts.emulator.jupyter.sync import sync
from infra.modelarts.notebook_storage import Synced
from infra.store.digests import file_digest
from tests.unit.infra.modelarts.doubles import FolderStore


class Listed(FolderStore):
    """A bucket that lists ETags, here digests."""

    def listing(self, prefix: str) -> Sequence[tuple[str, int, str]]:
        return [(key, size, file_digest(self.folder / key)) for key, size in self.list(prefix)]

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / "lesson" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def bucket(tmp_path: Path) -> Listed:
    found = Listed(tmp_path / "store")
    found.write("scripts/run.sh", b"echo hi\r\n")
    found.write("notes.txt", b"one\r\n")
    return found


def run(bucket: Listed, tmp_path: Path) -> Synced:
    return sync(bucket, "lesson/", tmp_path / "work", tmp_path / "record.json")


def test_new_and_changed_files_come_once_and_scripts_are_repaired(bucket: Listed, tmp_path: Path) -> None:
    assert run(bucket, tmp_path) == Synced(("notes.txt", "scripts/run.sh"), ("scripts/run.sh",))
    assert (tmp_path / "work/scripts/run.sh").read_bytes() == b"echo hi\n"
    assert (tmp_path / "work/notes.txt").read_bytes() == b"one\r\n"
    assert run(bucket, tmp_path) == Synced()
    bucket.write("notes.txt", b"two")
    assert run(bucket, tmp_path).fetched == ("notes.txt",)
    (tmp_path / "work/notes.txt").unlink()
    assert run(bucket, tmp_path).fetched == ("notes.txt",)


def test_a_file_that_changed_here_is_kept(bucket: Listed, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/notes.txt").write_text("mine")
    assert run(bucket, tmp_path).kept == ("notes.txt",)
    (tmp_path / "work/scripts/run.sh").write_text("mine")
    assert run(bucket, tmp_path) == Synced(kept=("notes.txt",)), "changed here alone: nothing to tell"
    bucket.write("scripts/run.sh", b"theirs")
    assert run(bucket, tmp_path).kept == ("notes.txt", "scripts/run.sh")
    assert (tmp_path / "work/scripts/run.sh").read_text() == "mine"


def test_a_key_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    class Outside(Listed):
        def listing(self, prefix: str) -> Sequence[tuple[str, int, str]]:
            return [("lesson/../secret", 1, "etag")]

    with pytest.raises(UserError, match="outside of the notebook's folder"):
        run(Outside(tmp_path / "store"), tmp_path)
