import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UserError
from infra.ports.values import LocalFile
from tasks.dataset.layouts import check_class_name, find


def files(*names: str, **texts: str) -> dict[str, LocalFile]:
    return {name: LocalFile(Path("/nowhere") / name, f"digest of {name}", 1) for name in names}


def with_text(folder: Path, name: str, text: str, *others: str) -> dict[str, LocalFile]:
    (folder / name).write_text(text, encoding="utf-8")
    return {**files(*others), name: LocalFile(folder / name, "t", 1)}


def parts(found: Any) -> dict[str, tuple[str, str | None]]:
    return {entry.name: (entry.label, entry.part) for entry in found.entries}


def test_class_folders_without_parts() -> None:
    found = find(files("cat/1.jpg", "cat/deep/2.png", "狗/1.jpg", "cat/readme.txt", "notes.md"))
    assert parts(found) == {"cat/1.jpg": ("cat", None), "cat/deep/2.png": ("cat", None), "狗/1.jpg": ("狗", None)}
    assert found.names == ["cat", "狗"]
    assert found.others == ["cat/readme.txt", "notes.md"]


def test_what_systems_leave_behind_is_no_picture() -> None:
    junk = ("__MACOSX/a/._1.jpg", "a/._1.jpg", "a/.DS_Store", "a/Thumbs.db", "b/@eaDir/1.jpg", ".git/x/1.jpg")
    assert set(parts(find(files("a/1.jpg", "b/1.jpg", *junk)))) == {"a/1.jpg", "b/1.jpg"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train/a/1.jpg", "train/b/1.jpg", "val/a/2.jpg"), ["train", "train", "eval"]),
        (("Train/a/1.jpg", "Train/b/1.jpg", "test/a/2.jpg"), ["train", "train", "eval"]),
        (("train/a/1.jpg", "train/b/1.jpg", "val/a/2.jpg", "test/b/3.jpg"), ["train", "train", "train", "eval"]),
        (("train/a/1.jpg", "train/b/1.jpg"), [None, None]),
        (("photos/train/a/1.jpg", "photos/train/b/1.jpg", "photos/test/b/2.jpg"), ["train", "train", "eval"]),
    ],
)
def test_parts_are_as_the_folders_say(names: Any, expected: Any) -> None:
    found = find(files(*names))
    by_name = {entry.name: entry.part for entry in found.entries}
    order = [name.removeprefix("photos/") for name in names]
    assert [by_name[name] for name in order] == expected
    assert found.names == ["a", "b"]


def test_numbers_are_ordered_by_value() -> None:
    assert find(files("10/a.jpg", "9/a.jpg", "other/a.jpg", "1/a.jpg")).names == ["1", "9", "10", "other"]


def test_a_list_of_classes_fixes_the_order(tmp_path: Path) -> None:
    found = find(with_text(tmp_path, "classes.txt", "b\n\na\n", "a/1.jpg", "b/1.jpg"))
    assert found.names == ["b", "a"]
    assert not found.others
    with pytest.raises(UserError, match=r"classes\.txt lacks the class 'a'"):
        find(with_text(tmp_path, "classes.txt", "b\nc\n", "a/1.jpg", "b/1.jpg"))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("1.jpg", "2.jpg"), "no class folders"),
        (("a/1.jpg", "a/2.jpg"), "1 classes"),
        ((), "no class folders"),
        (("test/a/1.jpg", "test/b/1.jpg"), "no training pictures"),
        (tuple(f"{number}/1.jpg" for number in range(1001)), "1001 classes"),
        (("a\u2028b/1.jpg", "c/1.jpg"), "class name"),
    ],
)
def test_a_source_that_cannot_be_learned_is_refused(names: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        find(files(*names))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["..", "a/b", "", " a", "a\n", ".hidden"])
def test_class_names_can_be_file_names(name: str) -> None:
    with pytest.raises(UserError):
        check_class_name(name)


@pytest.mark.parametrize("head", ["", "path,label\n"])
def test_a_table_lists_pictures(tmp_path: Path, head: str) -> None:
    text = f"\ufeff{head}p/1.jpg,cat\n./p/2.jpg,dog\nmissing.jpg,dog\n\n"
    found = find(with_text(tmp_path, "labels.csv", text, "p/1.jpg", "p/2.jpg", "p/3.jpg"), "labels.csv")
    assert parts(found) == {"p/1.jpg": ("cat", None), "p/2.jpg": ("dog", None), "missing.jpg": ("dog", None)}
    assert [entry.path is None for entry in found.entries] == [False, False, True]


@pytest.mark.parametrize(("second", "expected"), [("train", [None, None]), ("test", ["train", "eval"])])
def test_a_table_that_only_trains_says_nothing_of_what_is_held_out(tmp_path: Path, second: str, expected: Any) -> None:
    text = f"1.jpg,cat,train\n2.jpg,dog,{second}\n"
    found = find(with_text(tmp_path, "labels.csv", text, "1.jpg", "2.jpg"), "labels.csv")
    assert [entry.part for entry in found.entries] == expected


def test_a_table_without_training_pictures_is_refused(tmp_path: Path) -> None:
    text = "1.jpg,cat,test\n2.jpg,dog,test\n"
    with pytest.raises(UserError, match="no training pictures"):
        find(with_text(tmp_path, "labels.csv", text, "1.jpg", "2.jpg"), "labels.csv")


def test_a_wrong_row_of_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.csv: row 2 is not path,label"):
        find(with_text(tmp_path, "labels.csv", "a.jpg,cat\nb.jpg\n", "a.jpg", "b.jpg"), "labels.csv")


def test_a_manifest_lists_pictures_of_a_bucket(tmp_path: Path) -> None:
    def line(source: str, *names: str, usage: str = "TRAIN") -> str:
        notes = [{"name": name, "type": "modelarts/image_classification", "confidence": 1.0} for name in names]
        return json.dumps({"source": source, "annotation": notes, "usage": usage})

    text = "\n".join(
        [
            line("s3://bucket/set/p/1.jpg", "cat"),
            line("obs://bucket/set/p/2.jpg", "dog"),
            line("s3://bucket/set/p/3.jpg", "dog", usage="EVAL"),
            line("s3://bucket/set/p/4.jpg"),
        ]
    )
    found = find(with_text(tmp_path, "V1.manifest", text, "p/1.jpg", "p/2.jpg", "p/3.jpg", "p/4.jpg"))
    assert parts(found) == {"p/1.jpg": ("cat", "train"), "p/2.jpg": ("dog", "train"), "p/3.jpg": ("dog", "eval")}
    for wrong, words in [("{", "line 1 is not an entry"), (line("a", "x", "y"), "several classes")]:
        with pytest.raises(UserError, match=words):
            find(with_text(tmp_path, "V2.manifest", wrong, "p/1.jpg"), "V2.manifest")
