"""Back into a home: whole, checked, and never instead of something that is there."""

import io
import json
import os
import tarfile
from pathlib import Path
from typing import IO, Any, cast

import pytest

from infra.backup.restore import restore
from infra.errors import Corrupt, Refused, UserError
from infra.store.gc import LOCK
from infra.store.locks import hold
from infra.store.receipts import Receipts
from tests.unit.infra.backup.homes import contents, make


def test_a_home_that_is_not_empty_is_left_alone(home: Any, archive: Any) -> None:
    before = contents(home)
    with pytest.raises(UserError, match="is not empty") as error:
        restore(archive, home)
    assert "--replace" in error.value.hint
    assert contents(home) == before


def test_an_empty_folder_takes_it(archive: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    restore(archive, tmp_path / "empty")
    assert len(list(Receipts(tmp_path / "empty").all())) == 2


def test_a_home_that_is_replaced_is_kept_aside(home: Any, archive: Any) -> None:
    make(home, 3)
    done = restore(archive, home, replace=True)
    assert len(list(Receipts(home).all())) == 2
    assert done.before is not None
    assert len(list(Receipts(done.before).all())) == 3
    assert (done.before / "secrets" / "board-laptop").read_text() == "private"


def test_a_home_in_use_is_not_replaced(home: Any, archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with hold(home / "locks" / LOCK, shared=True), pytest.raises(Refused, match="a run is in progress"):
        restore(archive, home, replace=True)
    state = {"pid": os.getpid(), "created": _created(), "title": "Prefect server", "address": "", "stop_seconds": 1}
    (home / "services" / "prefect.json").write_text(json.dumps(state))
    with pytest.raises(Refused, match="Prefect server runs") as error:
        restore(archive, home, replace=True)
    assert "atlasflow down" in error.value.hint
    assert len(list(Receipts(home).all())) == 2
    assert not list(home.parent.glob(".home.restoring/*"))


def _created() -> Any:
    import psutil

    return psutil.Process().create_time()


def rewritten(archive: Any, change: Any) -> Any:
    """The archive with other members: `change` maps a list of (member, bytes)."""
    with tarfile.open(archive) as tar:
        members = [(member, cast(IO[bytes], tar.extractfile(member)).read()) for member in tar]
    target = archive.with_name("other.tar")
    with tarfile.open(target, "w") as tar:
        for member, data in change(members):
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target


def added(name: Any, kind: Any = tarfile.REGTYPE, link: str = "") -> Any:
    def change(members: Any) -> Any:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        return [(info, b""), *members]

    return change


def manifest(**changes: Any) -> Any:
    def change(members: Any) -> Any:
        *others, (member, data) = members
        return [*others, (member, json.dumps({**json.loads(data), **changes}).encode())]

    return change


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (added("../outside"), Corrupt, "does not belong in a home"),
        (added("/etc/outside"), Corrupt, "does not belong in a home"),
        (added("objects/../../outside"), Corrupt, "does not belong in a home"),
        (added("other/file"), Corrupt, "does not belong in a home"),
        (added("objects/link", tarfile.SYMTYPE, "/etc/passwd"), Corrupt, "which a backup does not contain"),
        (added("objects/link", tarfile.LNKTYPE, "/etc/passwd"), Corrupt, "which a backup does not contain"),
        (added("objects/device", tarfile.CHRTYPE), Corrupt, "which a backup does not contain"),
        (added("objects/more"), Corrupt, "objects/more differs from the manifest"),
        (lambda members: [members[0], *members], Corrupt, "which a backup does not contain"),
        (
            lambda members: [*members, (tarfile.TarInfo("objects/late"), b"")],
            Corrupt,
            "which a backup does not contain",
        ),
        (lambda members: members[1:], Corrupt, "differs from the manifest"),
        (lambda members: [(members[0][0], b"other"), *members[1:]], Corrupt, "differs from the manifest"),
        (lambda members: members[:-1], Corrupt, "has no manifest"),
        (lambda members: [*members[:-1], (members[-1][0], b"{")], Corrupt, "manifest of .* is damaged"),
        (lambda members: [*members[:-1], (members[-1][0], b"[]")], Corrupt, "manifest of .* is damaged"),
        (manifest(files=3), Corrupt, "manifest of .* is damaged"),
        (manifest(schema=2), Refused, "newer AtlasFlow"),
    ],
)
def test_an_archive_that_is_not_as_we_wrote_it_is_refused(
    archive: Any, tmp_path: Path, change: Any, kind: Any, text: str
) -> None:
    target = rewritten(archive, change)
    (tmp_path / "place").mkdir()
    with pytest.raises(kind, match=text):
        restore(target, tmp_path / "place" / "new")
    assert [path.name for path in (tmp_path / "place").iterdir() if not path.name.endswith(".lock")] == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_an_archive_that_was_cut_is_refused(archive: Any, tmp_path: Path, share: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Corrupt, match=r"truncated|damaged"):
        restore(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_flipped_bit_is_found_or_does_no_harm(archive: Any, tmp_path: Path) -> None:
    restore(archive, tmp_path / "right")
    data = bytearray(archive.read_bytes())
    found = 0
    for place in range(0, len(data), len(data) // 24):
        flipped = data.copy()
        flipped[place] ^= 4
        archive.write_bytes(flipped)
        new = tmp_path / f"new-{place}"
        try:
            restore(archive, new)
        except Corrupt:
            found += 1
            assert not new.exists()
        else:  # such as the time in a header
            assert {name: (new / name).read_bytes() for name in contents(new)} == {
                name: (tmp_path / "right" / name).read_bytes() for name in contents(tmp_path / "right")
            }
    assert found > 15


def test_what_is_no_archive_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no backup"):
        restore(tmp_path / "absent.tar", tmp_path / "new")
    (tmp_path / "text.tar").write_text("hello" * 1000)
    with pytest.raises(Corrupt, match="not a backup"):
        restore(tmp_path / "text.tar", tmp_path / "new")
