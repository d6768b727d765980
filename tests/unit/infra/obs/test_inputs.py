"""Copies of objects follow the bucket, and only what has changed is fetched."""

from pathlib import Path
from typing import Any

import pytest

from infra.errors import Refused, UserError
from infra.obs.inputs import copy_folder, copy_objects


class Bucket:
    """A bucket that is a dictionary; it counts what is fetched, and can break off."""

    def __init__(self, objects: dict[str, str], bucket: str = "bucket") -> None:
        self.bucket = bucket
        self.objects = objects
        self.fetched: list[str] = []
        self.listed: list[str] = []
        self.breaks_at = ""

    def listing(self, prefix: str) -> Any:
        self.listed.append(prefix)
        return [(key, len(text), f"tag of {text}") for key, text in self.objects.items() if key.startswith(prefix)]

    def get(self, key: str, target: Path, sha256: Any = None, progress: Any = None) -> str:
        if key == self.breaks_at:
            raise Refused("the connection is cut")
        self.fetched.append(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.objects[key])
        return ""


def found(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_follows_its_prefix_and_only_changes_are_fetched(tmp_path: Path) -> None:
    bucket = Bucket({"p/": "", "p/cat/1.jpg": "one", "p/cat/2.jpg": "two", "p/dog/3.jpg": "three", "px/4.jpg": "four"})
    folder = copy_folder(bucket, "p", tmp_path / "copy", 2)
    assert found(folder) == {"cat/1.jpg": "one", "cat/2.jpg": "two", "dog/3.jpg": "three"}
    bucket.fetched.clear()
    copy_folder(bucket, "p", tmp_path / "copy", 2)
    assert bucket.fetched == []
    bucket.objects |= {"p/cat/1.jpg": "eno", "p/ox/5.jpg": "five"}  # the first one as long as before
    del bucket.objects["p/dog/3.jpg"]
    copy_folder(bucket, "p", tmp_path / "copy", 2)
    assert found(folder) == {"cat/1.jpg": "eno", "cat/2.jpg": "two", "ox/5.jpg": "five"}
    assert sorted(bucket.fetched) == ["p/cat/1.jpg", "p/ox/5.jpg"]
    assert not (folder / "dog").exists()


def test_a_copy_that_somebody_changed_is_fetched_again(tmp_path: Path) -> None:
    bucket = Bucket({"p/a": "one", "p/b": "two"})
    folder = copy_folder(bucket, "p", tmp_path, 1)
    (folder / "a").unlink()
    (folder / "b").write_text("and more")
    assert found(copy_folder(bucket, "p", tmp_path, 1)) == {"a": "one", "b": "two"}


def test_a_fetch_that_was_cut_goes_on(tmp_path: Path) -> None:
    bucket = Bucket({f"p/{number}": str(number) for number in range(6)})
    bucket.breaks_at = "p/4"
    with pytest.raises(Refused):
        copy_folder(bucket, "p", tmp_path, 1)
    before, bucket.breaks_at, bucket.fetched = len(bucket.fetched), "", []
    copy_folder(bucket, "p", tmp_path, 1)
    assert len(bucket.fetched) == 6 - before


def test_nothing_at_an_address_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nothing under obs://bucket/p/"):
        copy_folder(Bucket({"p/": ""}), "p", tmp_path / "copy", 1)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("key", ["p/../../x", "p/a\\b", "p//x"])
def test_a_key_that_is_no_path_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(UserError, match="not a plain relative path"):
        copy_folder(Bucket({key: "x"}), "p", tmp_path / "copy", 1)
    assert not (tmp_path / "copy").exists()


def test_a_key_that_is_both_file_and_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which a folder of this machine cannot"):
        copy_folder(Bucket({"p/a": "x", "p/a/b": "y"}), "p", tmp_path / "copy", 1)


def test_single_objects_of_several_buckets_come_with_one_listing_each(tmp_path: Path) -> None:
    one, two = Bucket({"d/x/1": "1", "d/y/2": "2", "d/z": "0"}, "one"), Bucket({"3": "3"}, "two")
    (tmp_path / "own").write_text("own")
    wanted = {"one/d/x/1": (one, "d/x/1"), "one/d/y/2": (one, "d/y/2"), "two/3": (two, "3"), "absent": (two, "4")}
    own = {"table": tmp_path / "own", "missing": tmp_path / "none"}
    folder = copy_objects(wanted, own, tmp_path / "copy", 2)
    assert found(folder) == {"one/d/x/1": "1", "one/d/y/2": "2", "two/3": "3", "table": "own"}
    assert (one.listed, two.listed) == (["d/"], [""])
    table = (folder / "table").stat()
    copy_objects(wanted, own, tmp_path / "copy", 2)
    assert (folder / "table").stat().st_mtime_ns == table.st_mtime_ns
    with pytest.raises(UserError, match="not a plain relative path"):
        copy_objects({}, {"../x": tmp_path / "own"}, tmp_path / "copy", 1)
