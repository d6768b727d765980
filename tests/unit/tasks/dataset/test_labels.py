from pathlib import Path

import pytest

from infra.errors import Corrupt, UserError
from infra.store.artifacts import folder_files
from tasks.dataset import layouts
from tasks.dataset.labels import LabelQueue, collected, folder_of, labels, labels_since

FIRST, SECOND = "0.031250-1732870000-0123456789abcdef.jpg", "0.250000-1732880000-fedcba9876543210.png"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home to which two boards' pictures came."""
    for board, name in (("roof", SECOND), ("porch", FIRST)):
        folder_of(tmp_path / "home", board).mkdir(parents=True)
        (folder_of(tmp_path / "home", board) / name).write_bytes(name.encode())
    return tmp_path / "home"


@pytest.fixture(params=["", "train"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data set of two classes, with and without part folders."""
    for name in ("cat", "dog"):
        (tmp_path / "photos" / request.param / name).mkdir(parents=True)
        (tmp_path / "photos" / request.param / name / "1.png").write_bytes(b"picture")
    return tmp_path / "photos"


def queue(home: Path, source: Path) -> LabelQueue:
    return LabelQueue(home, source, ("cat", "dog"))


def pictures(source: Path) -> list[str]:
    return sorted(path.relative_to(source).as_posix() for path in source.rglob("labelled-*"))


def test_the_least_sure_comes_first(home: Path) -> None:
    first, second = collected(home)
    assert (first.board, first.margin, first.kept, first.digest) == ("porch", 0.03125, 1732870000, "0123456789abcdef")
    assert second.board == "roof"


def test_a_labelled_picture_joins_its_class_with_its_provenance(home: Path, source: Path) -> None:
    work = queue(home, source)
    work.label(work.waiting()[0], "dog")
    (place,) = pictures(source)
    assert place.endswith("dog/labelled-0123456789abcdef.jpg")
    assert (source / place).read_bytes() == FIRST.encode()
    (label,) = labels(source)
    assert (label.file, label.name, label.board, label.margin) == (place, "dog", "porch", 0.03125)
    assert [picture.board for picture in work.waiting()] == ["roof"]


def test_labels_are_no_unusable_files(home: Path, source: Path) -> None:
    work = queue(home, source)
    work.label(work.waiting()[0], "dog")
    layout = layouts.find(folder_files(source)[1])
    assert not layout.others
    assert sum(entry.label == "dog" for entry in layout.entries) == 2


def test_undo_takes_label_and_skip_back(home: Path, source: Path) -> None:
    work = queue(home, source)
    before = work.waiting()
    work.label(before[0], "dog")
    work.skip(before[1])
    assert not work.waiting()
    assert work.undo()
    assert work.undo()
    assert not work.undo()
    assert work.waiting() == before
    assert not pictures(source)
    assert not labels(source)


def test_a_label_that_was_interrupted_leaves_no_second_class(home: Path, source: Path) -> None:
    work = queue(home, source)
    picture = work.waiting()[0]
    work.label(picture, "cat")
    (folder_of(home, ".labelled") / FIRST).rename(picture.path)  # the kill came before the picture was moved
    work.label(picture, "dog")
    (place,) = pictures(source)
    assert "dog" in place
    assert [label.name for label in labels(source)] == ["dog"]


def test_new_labels_are_counted_since_a_time(home: Path, source: Path) -> None:
    work = queue(home, source)
    work.label(work.waiting()[0], "dog")
    when = labels(source)[0].labelled
    assert (labels_since(source, when - 1), labels_since(source, when), labels_since(None, 0)) == (1, 0, 0)
    assert labels_since(home / "archive.zip", 0) == 0


def test_a_source_without_the_class_folders_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of class folders"):
        queue(home, tmp_path / "photos.zip")


def test_damaged_labels_are_named(source: Path) -> None:
    (source / "labels.jsonl").write_text('{"file": 1\n')
    with pytest.raises(Corrupt, match=r"labels\.jsonl is damaged"):
        labels(source)
