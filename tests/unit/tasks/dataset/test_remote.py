"""Sources in a bucket become files of this machine; tables of this machine may list objects."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from infra.errors import UserError
from infra.ports.external import ExternalFiles
from infra.ports.values import LocalFile
from tasks.dataset import layouts, remote


class Objects:
    """The port, over a folder whose first level is the buckets."""

    def __init__(self, root: Path, copies: Path) -> None:
        self.root, self.copies = root, copies
        self.asked: list[str] = []

    def _at(self, address: str) -> Path:
        return self.root / address.partition("://")[2]

    def is_object(self, address: str) -> bool:
        return self._at(address).is_file()

    def local_copy(self, address: str) -> Path:
        self.asked.append(address)
        return self._at(address)

    def local_folder(self, address: str) -> Path:
        return self._at(address)

    def local_files(self, name: str, addresses: Mapping[str, str], own: Mapping[str, Path]) -> Path:
        for path, source in {**{path: self._at(address) for path, address in addresses.items()}, **own}.items():
            if source.is_file():
                (self.copies / path).parent.mkdir(parents=True, exist_ok=True)
                (self.copies / path).write_bytes(source.read_bytes())
        return self.copies


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    for name in ("b/d/cat/1.jpg", "b/d/dog/2.jpg", "b/pack.zip", "other/3.jpg"):
        path = tmp_path / "buckets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return Objects(tmp_path / "buckets", tmp_path / "copies")


def local(source: str, objects: Objects) -> Path:
    return Path(remote.local_source(source, cast(ExternalFiles, objects)))


def labels(table: Path) -> Any:
    files = {
        path.relative_to(table.parent).as_posix(): LocalFile(path, path.name, 0)
        for path in table.parent.rglob("*")
        if path.is_file()
    }
    found = layouts.find(files, table.name)
    return {entry.path.read_text() if entry.path else entry.name: entry.label for entry in found.entries}


MANIFEST = [
    ("obs://b/d/cat/1.jpg", "cat"),
    ("s3://other/3.jpg", "dog"),
    ("obs://b/d/gone.jpg", "dog"),
]


def manifest(rows: Any) -> str:
    return "\n".join(
        json.dumps({"source": source, "annotation": [{"name": label, "type": "modelarts/image_classification"}]})
        for source, label in rows
    )


@pytest.mark.parametrize("source", ["obs://b/d/", "obs://b/d", "s3://b/d"])
def test_a_folder_is_copied_also_without_its_slash(objects: Objects, source: str) -> None:
    assert local(source, objects) == objects.root / "b" / "d"


def test_an_archive_is_one_object(objects: Objects) -> None:
    assert local("obs://b/pack.zip", objects) == objects.root / "b" / "pack.zip"
    assert objects.asked == ["obs://b/pack.zip"]


def test_a_manifest_brings_the_pictures_of_all_buckets(objects: Objects) -> None:
    (objects.root / "b" / "data.manifest").write_text(manifest(MANIFEST))
    table = local("obs://b/data.manifest", objects)
    assert labels(table) == {"b/d/cat/1.jpg": "cat", "other/3.jpg": "dog", "obs://b/d/gone.jpg": "dog"}


def test_a_table_in_a_bucket_names_paths_beside_it(objects: Objects) -> None:
    (objects.root / "b" / "data.csv").write_text("path,label\nd\\cat\\1.jpg,cat\n./d/dog/2.jpg,dog\n")
    assert labels(local("obs://b/data.csv", objects)) == {"b/d/cat/1.jpg": "cat", "b/d/dog/2.jpg": "dog"}


def test_a_manifest_of_this_machine_may_list_objects(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "here.jpg").write_text("here")
    path = tmp_path / "own" / "data.manifest"
    path.write_text(manifest([*MANIFEST, ("here.jpg", "cat")]))
    table = local(str(path), objects)
    assert labels(table) == {
        "b/d/cat/1.jpg": "cat", "other/3.jpg": "dog", "obs://b/d/gone.jpg": "dog", "here": "cat",
    }  # fmt: skip


def test_a_manifest_beside_its_pictures_needs_no_bucket(objects: Objects, tmp_path: Path) -> None:
    """ModelArts writes addresses of the bucket, also into a manifest that was copied with its pictures."""
    for name in ("cat/1.jpg", "dog/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    path = tmp_path / "data.manifest"
    path.write_text(manifest([("obs://b/d/cat/1.jpg", "cat"), ("obs://b/d/dog/2.jpg", "dog")]))
    assert local(str(path), objects) == path
    assert not objects.copies.exists()


def test_a_malformed_table_is_named(objects: Objects) -> None:
    (objects.root / "b" / "data.csv").write_text("path,label\nonly-a-path\n")
    with pytest.raises(UserError, match=r"data\.csv: row 1"):
        local("obs://b/data.csv", objects)
