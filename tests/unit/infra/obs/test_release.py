"""A published release comes back whole from a bucket, or not at all."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from infra.errors import Corrupt, Refused
from infra.obs.release import fetch_release
from infra.ports.storage import ObjectStore, StoredObject
from infra.store.digests import file_digest, text_digest


class Store:
    """An object store that is a dictionary."""

    bucket = "bucket"

    def __init__(self, objects: Any) -> None:
        self.objects = objects
        self.fetched: list[str] = []

    def head(self, key: Any) -> Any:
        return StoredObject(key, len(self.objects[key]), None) if key in self.objects else None

    def get(self, key: Any, target: Any, sha256: Any = None, progress: Any = None) -> Any:
        self.fetched.append(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.objects[key])
        if sha256 is not None and file_digest(target) != sha256:
            target.unlink()
            raise Corrupt(f"{key} is another file")
        return file_digest(target)


def as_store(store: Store) -> ObjectStore:
    return cast(ObjectStore, store)


def published(names: Any, prefix: str = "atlasflow/releases/r1") -> "Store":
    objects = {f"{prefix}/{name}": f"content of {name}" for name in names}
    listing = {"prefix": prefix, "objects": {key: text_digest(text) for key, text in objects.items()}}
    return Store({**objects, f"{prefix}/published.json": json.dumps(listing)})


NAMES = ["board/Ascend310/model.om", "board/Ascend310/agent/main.py", "model.onnx"]


def found(folder: Any) -> Any:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_boards_get_is_fetched_once(tmp_path: Path) -> None:
    store = published(NAMES)
    folder = fetch_release(as_store(store), "/atlasflow/releases/r1/", tmp_path)
    assert found(folder) == ["Ascend310/agent/main.py", "Ascend310/model.om"]
    store.fetched.clear()
    (folder / "Ascend310" / "model.om").write_text("damaged")
    (folder / "stranger").write_text("x")
    assert found(fetch_release(as_store(store), "atlasflow/releases/r1", tmp_path)) == found(folder)
    assert store.fetched == ["atlasflow/releases/r1/published.json", "atlasflow/releases/r1/board/Ascend310/model.om"]
    assert (folder / "Ascend310" / "model.om").read_text() == "content of board/Ascend310/model.om"


def test_a_release_that_was_moved_is_found(tmp_path: Path) -> None:
    store = published(NAMES)
    store.objects = {key.replace("atlasflow/releases/r1", "elsewhere"): text for key, text in store.objects.items()}
    folder = fetch_release(as_store(store), "elsewhere", tmp_path)
    assert found(folder) == [
        "Ascend310/agent/main.py",
        "Ascend310/model.om",
    ]


def test_a_release_without_a_listing_is_not_whole(tmp_path: Path) -> None:
    store = published(NAMES)
    del store.objects["atlasflow/releases/r1/published.json"]
    with pytest.raises(Refused, match="no complete release"):
        fetch_release(as_store(store), "atlasflow/releases/r1", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"prefix": "x", "objects": [1]}'])
def test_a_damaged_listing(tmp_path: Path, text: str) -> None:
    store = Store({"r/published.json": text})
    with pytest.raises(Corrupt, match="is damaged"):
        fetch_release(as_store(store), "r", tmp_path)


def test_another_file_in_the_bucket(tmp_path: Path) -> None:
    store = published(NAMES)
    store.objects["atlasflow/releases/r1/board/Ascend310/model.om"] = "evil"
    with pytest.raises(Corrupt, match="another file"):
        fetch_release(as_store(store), "atlasflow/releases/r1", tmp_path)


@pytest.mark.parametrize("name", ["board/../../evil", "board//etc/evil"])
def test_no_file_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(Corrupt, match="not a plain relative path"):
        fetch_release(as_store(published([name])), "atlasflow/releases/r1", tmp_path / "in")
    assert found(tmp_path) == ["in/published.json"]
