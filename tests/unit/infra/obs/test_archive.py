import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Corrupt, Refused, UserError
from infra.obs import archive


@pytest.fixture
def files(local: Any) -> Any:
    return {name: local(name.encode() * 10, f"files/{name}") for name in ("b/ü.txt", "a", "x" * 120, "empty")}


def test_many_files_travel_as_one_object_once(obs: Any, files: Any, tmp_path: Path) -> None:
    client, middleware = obs()
    first = client.sync_archive("d/all.tar", files)
    assert (first.sent, first.kept) == (("d/all.tar",), ())
    requests = sum(middleware.faults.visits.values())
    again = client.sync_archive("d/all.tar", files)
    assert (again.sent, again.kept, again.bytes_sent) == ((), ("d/all.tar",), 0)
    assert sum(middleware.faults.visits.values()) == requests + 1
    client.get_archive("d/all.tar", tmp_path / "out" / "tree")
    found = {p.relative_to(tmp_path / "out/tree").as_posix(): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: file.path.read_bytes() for name, file in files.items()
    }
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tree"]


def test_the_same_files_give_the_same_bytes(client: Any, files: Any, local: Any) -> None:
    client.sync_archive("one", files)
    for file in files.values():
        os.utime(file.path, (1, 1))
    client.sync_archive("two", dict(reversed(files.items())))
    assert client.head("one").sha256 == client.head("two").sha256
    files["a"] = local(b"other", "other")
    assert client.sync_archive("one", files).sent == ("one",)


@pytest.mark.parametrize("change", [b"", b"longer than it was before", b"A" * 10])
def test_a_file_that_changed_is_not_sent(client: Any, files: Any, change: Any) -> None:
    files["a"].path.write_bytes(change)
    with pytest.raises(Corrupt, match="has changed"):
        client.sync_archive("k", files)
    assert client.head("k") is None


@pytest.mark.parametrize("name", ["../x", "/x", ""])
def test_names_stay_in_their_folder(client: Any, files: Any, name: str) -> None:
    with pytest.raises(UserError, match="not a plain relative path"):
        client.sync_archive("k", {name: files["a"]})


def pack(path: Any, *entries: Any) -> Any:
    with tarfile.open(path, "w") as tar:
        for name, kind in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind, "/etc/passwd", 1 if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(b"x"))
    return path.read_bytes()


@pytest.mark.parametrize("entry", [("../x", tarfile.REGTYPE), ("/x", tarfile.REGTYPE), ("x", tarfile.SYMTYPE)])
def test_an_archive_of_somebody_else_cannot_leave_its_folder(
    client: Any, local: Any, tmp_path: Path, entry: Any
) -> None:
    client.put("k", local(pack(tmp_path / "tar", ("good", tarfile.REGTYPE), entry)))
    with pytest.raises(UserError):
        client.get_archive("k", tmp_path / "out" / "tree")
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "x").exists()


def test_what_is_no_archive_is_corrupt(client: Any, local: Any, tmp_path: Path) -> None:
    client.put("k", local(b"no archive" * 100))
    with pytest.raises(Corrupt, match="not an archive"):
        client.get_archive("k", tmp_path / "tree")
    with pytest.raises(Refused):
        client.get_archive("absent", tmp_path / "tree")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mine").touch()
    with pytest.raises(UserError, match="exists already"):
        client.get_archive("k", tmp_path / "tree")


def test_the_digest_names_the_files(files: Any) -> None:
    digest = archive.content_digest(files)
    assert digest == archive.content_digest(dict(reversed(files.items())))
    assert digest != archive.content_digest({**files, "a": replace(files["a"], sha256="0" * 64)})
    assert digest != archive.content_digest({"c" if name == "a" else name: file for name, file in files.items()})
