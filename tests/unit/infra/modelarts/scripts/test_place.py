"""Code and data of a script: sent once, under an address of their digest; boot files."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.modelarts.scripts.place import boot_path, place
from tests.unit.infra.modelarts.doubles import FolderStore


class Listed(FolderStore):
    """Lists ETags made of sizes."""

    def listing(self, prefix: str) -> Sequence[tuple[str, int, str]]:
        return [(key, size, f"tag-{size}") for key, size in self.list(prefix)]


@pytest.fixture
def bucket(tmp_path: Path) -> Listed:
    return Listed(tmp_path / "objects")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "experiment_3"
    (folder / "src" / "__pycache__").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("train.py", "src/net.py", "src/__pycache__/net.pyc", ".git/config"):
        (folder / name).write_text(name)
    return folder


def test_a_folder_is_sent_without_caches_and_hidden_files(bucket: Listed, code: Path) -> None:
    placed = place(str(code), "--code", bucket, "af/scripts", lambda _: bucket)
    assert placed.address == f"obs://bucket/af/scripts/{placed.digest[:16]}/experiment_3/"
    keys = [key for key, _ in bucket.list("")]
    assert [key.partition("experiment_3/")[2] for key in keys] == ["src/net.py", "train.py"]


def test_an_address_is_used_where_it_is_and_its_content_counts(bucket: Listed, code: Path) -> None:
    bucket.put_tree("course/code", code)
    before = place("s3://bucket/course/code", "--code", bucket, "af", lambda _: bucket)
    assert before.address == "obs://bucket/course/code/"
    (bucket.folder / "course/code/train.py").write_text("something longer")
    assert place("obs://bucket/course/code/", "--code", bucket, "af", lambda _: bucket).digest != before.digest


@pytest.mark.parametrize("source", ["missing", "obs://bucket/missing/", "empty"])
def test_nothing_to_send_is_an_error(
    bucket: Listed, tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="--data"):
        place(source, "--data", bucket, "af", lambda _: bucket)


def test_a_boot_file_is_named_in_or_with_its_folder(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(code.parent)
    assert boot_path("experiment_3", "train.py") == "train.py"
    assert boot_path("experiment_3", "src/net.py") == "src/net.py"
    assert boot_path("experiment_3/", "experiment_3/train.py") == "train.py"
    assert boot_path("obs://b/code/", "train.py") == "train.py"
    assert boot_path("obs://b/code", "obs://b/code/train.py") == "train.py"


@pytest.mark.parametrize(
    ("folder", "boot"),
    [
        ("experiment_3", "nothing.py"),
        ("experiment_3", "../outside.py"),
        ("experiment_3", ".git/config"),
        ("obs://b/code/", "obs://b/other/train.py"),
        ("obs://b/code/", "../x.py"),
    ],
)
def test_other_boot_files_are_refused(code: Path, folder: str, boot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(code.parent)
    (code.parent / "outside.py").touch()
    with pytest.raises(UserError, match="--boot"):
        boot_path(folder, boot)
