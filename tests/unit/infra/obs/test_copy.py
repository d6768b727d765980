import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Refused, UserError
from infra.obs import copy as module
from infra.obs.client import connect
from infra.settings import RetrySettings

RETRY = RetrySettings(attempts=3, seconds=0.01)


@pytest.fixture
def other(settings: Any) -> Iterator[Any]:
    """A second bucket, as a shared one of somebody else."""
    client = connect(settings.model_copy(update={"bucket": f"{settings.bucket}-o"}), retry=RETRY)
    client.ensure_bucket()
    yield client
    client.delete(key for key, _ in client.list(""))
    client.remove_bucket()


@pytest.mark.parametrize("scheme", ["obs", "s3"])
def test_copies_go_anywhere(client: Any, other: Any, local: Any, tmp_path: Path, scheme: str) -> None:
    file = local(os.urandom(1000))
    files = client.files
    there, elsewhere = f"{scheme}://{client.bucket}/a/k.html", f"{scheme}://{other.bucket}/ü b/k"
    moved: list[int] = []
    files.copy(str(file.path), there, moved.append)
    files.copy(there, elsewhere, moved.append)
    files.copy(elsewhere, str(tmp_path / "deep" / "out"), moved.append)
    files.copy(str(tmp_path / "deep" / "out"), str(tmp_path / "again"), moved.append)
    assert moved == [1000] * 4
    assert (tmp_path / "again").read_bytes() == file.path.read_bytes()
    assert other.head("ü b/k").sha256 == file.sha256
    assert files.size(elsewhere) == files.size(str(tmp_path / "again")) == 1000


def test_a_copy_in_parts_keeps_digest_and_kind(
    client: Any, other: Any, local: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SINGLE_COPY", 8 * 1024 * 1024)
    monkeypatch.setattr(module, "COPY_PART", 8 * 1024 * 1024)
    file = local(os.urandom(20 * 1024 * 1024))
    client.put("k.html", file)
    client.files.copy(f"obs://{client.bucket}/k.html", f"obs://{other.bucket}/k")
    copied = other._connection.s3.head_object(Bucket=other.bucket, Key="k")
    assert copied["ETag"].endswith('-3"')
    assert (copied["ContentType"], copied["Metadata"]) == ("text/html", {"sha256": file.sha256})
    assert other.unfinished("") == []


def test_folders_are_copied_side_by_side(client: Any, other: Any, local: Any, tmp_path: Path) -> None:
    data = {"a": b"1", "b/c": b"22", "b/d e": b"", "large": os.urandom(17 * 1024 * 1024)}
    for name, content in data.items():
        local(content, f"tree/{name}")
    files, here = client.files, f"obs://{client.bucket}/data"
    assert files.copy_parallel(str(tmp_path / "tree"), here) == tuple(sorted(data))
    there = f"s3://{other.bucket}"
    moved: list[int] = []
    assert files.copy_parallel(f"{here}/", there, progress=moved.append) == tuple(sorted(data))
    assert sum(moved) == sum(map(len, data.values()))
    files.copy_parallel(there, str(tmp_path / "out"))
    assert {name: (tmp_path / "out" / name).read_bytes() for name in data} == data
    assert files.copy_parallel(there, str(tmp_path / "some"), names=["b/c"]) == ("b/c",)
    assert [path.name for path in (tmp_path / "some").rglob("*")] == ["b", "c"]
    with pytest.raises(UserError, match="does not hold 'absent'"):
        files.copy_parallel(there, str(tmp_path / "some"), names=["absent"])


def test_a_missing_source(client: Any, tmp_path: Path) -> None:
    files, here = client.files, f"obs://{client.bucket}"
    assert files.copy_parallel(f"{here}/absent", str(tmp_path / "out")) == ()
    for source, target in ((f"{here}/absent", "x"), (f"{here}/absent", f"{here}/x")):
        with pytest.raises(Refused, match="no such object"):
            files.copy(source, str(tmp_path / target) if target == "x" else target)
    with pytest.raises(UserError, match="there is no file"):
        files.copy(str(tmp_path / "absent"), f"{here}/x")
    with pytest.raises(Refused, match="no such bucket"):
        files.copy_parallel("obs://test-absent/x", str(tmp_path / "out"))


def test_what_no_folder_can_hold_is_refused(client: Any, local: Any, tmp_path: Path) -> None:
    for key in ("d/a", "d/a/b"):
        client.put(key, local(b"x"))
    files, here = client.files, f"obs://{client.bucket}"
    with pytest.raises(UserError, match="holds both 'a' and 'a/b'"):
        files.copy_parallel(f"{here}/d", str(tmp_path / "out"))
    with pytest.raises(UserError, match="is a folder"):
        files.copy(f"{here}/d/a", str(tmp_path))
    assert files.is_file(f"{here}/d/a")
    assert files.is_directory(f"{here}/d/a")
    assert not files.is_file(f"{here}/d")


def test_folders_of_objects_look_like_folders(client: Any, local: Any, tmp_path: Path) -> None:
    for key in ("d/one", "d/sub/two", "dx"):
        client.put(key, local(b"x"))
    client._connection.s3.put_object(Bucket=client.bucket, Key="d/", Body=b"")  # as the console makes folders
    files, here = client.files, f"obs://{client.bucket}"
    assert files.exists(f"{here}/d")
    assert files.exists(f"{here}/d/one")
    assert not files.exists(f"{here}/o")
    assert files.is_directory(f"{here}/d")
    assert not files.is_directory(f"{here}/dx")
    assert files.list_directory(f"{here}/d") == ["one", "sub"]
    assert files.list_directory(f"{here}/d", recursive=True) == ["one", "sub/two"]
    assert files.list_directory(here) == ["d", "dx"]
    files.copy_parallel(f"{here}/d", str(tmp_path / "out"))
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")) == [
        "one", "sub", "sub/two",
    ]  # fmt: skip
    assert files.list_directory(str(tmp_path / "out")) == ["one", "sub"]


def test_moving_and_removing(client: Any, local: Any, tmp_path: Path) -> None:
    file = local(b"x")
    files, here = client.files, f"obs://{client.bucket}"
    files.copy(str(file.path), f"{here}/a")
    files.rename(f"{here}/a", f"{here}/b")
    files.rename(f"{here}/b", f"{here}/b")
    assert list(client.list("")) == [("b", 1)]
    files.copy(f"{here}/b", f"{here}/d/1")
    files.copy(f"{here}/b", f"{here}/d/2")
    files.copy(f"{here}/b", f"{here}/dd")
    files.remove(f"{here}/d", recursive=True)
    files.remove(f"{here}/absent")
    assert [key for key, _ in client.list("")] == ["b", "dd"]
    with pytest.raises(UserError, match="whole bucket"):
        files.remove(f"{here}/", recursive=True)
    files.make_dirs(str(tmp_path / "m" / "n"))
    files.make_dirs(f"{here}/m/n")
    assert (tmp_path / "m" / "n").is_dir()
    files.remove(str(tmp_path / "m"), recursive=True)
    files.remove(str(file.path))
    files.remove(str(file.path))
    assert not (tmp_path / "m").exists()


def test_a_key_that_leaves_the_folder_is_not_fetched(client: Any, local: Any, tmp_path: Path) -> None:
    client.put("d/x", local(b"x"))

    def hostile(address: Any) -> Iterator[Any]:
        yield "../escaped", 1

    files = client.files
    files._walk = hostile
    with pytest.raises(UserError, match="not a plain relative path"):
        files.copy_parallel(f"obs://{client.bucket}/d", str(tmp_path / "out"))
