"""A home's state as one file, and back: whole, checked, and never instead of something that is there."""

import contextlib
import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
import textwrap
import threading

import pytest

from infra.backup.contents import ARTIFACTS, STATE, belongs
from infra.backup.restoring import restore
from infra.backup.writing import back_up
from infra.errors import Corrupt, Refused, UserError
from infra.home import CHECKOUT
from infra.store.artifacts import ArtifactStore
from infra.store.garbage import LOCK
from infra.store.locks import hold
from infra.store.receipts import Receipt, Receipts

LEFT_OUT = {
    "locks/train-1.lock": "",
    "work/train-1/half": "half",
    "statcache.json": "{}",
    "verdict.json": "{}",
    "services/prefect.log": "up",
    "objectstore/blob": "theirs",
    "fleet/wanted.lock": "",
    "runs/.1.json.ab12.tmp": "{",
    "tuning/a/study.db-wal": "wal",
}
SECRETS = {"secrets/board-laptop": "private", "services/obs.secret": "private"}
KEPT = {
    "registry.json": '{"revision": 3}',
    "proofs.json": "{}",
    "runs/1.json": "{}",
    "fleet/wanted.jsonl": "{}\n",
    "fleet/releases/first/Ascend310/release.json": "{}",
    "modelarts/intents/1.json": "{}",
    "notify/waiting/1.json": "{}",
    "tracking/1.json": "{}",
    "aside/schema-0/train/1.json": "{}",
    "tuning/a/summary.md": "# A",
}


def make(home, number, stage="train"):
    """A receipt with a file and a folder."""
    store, folder = ArtifactStore(home), home.parent / f"made-{number}"
    (folder / "tree").mkdir(parents=True)
    (folder / "file").write_text(f"file {number}" * 100)
    (folder / "tree" / "part").write_text(f"part {number}")
    outputs = {
        "file": store.put_file("file", folder / "file", "text/plain"),
        "tree": store.put_tree("t", folder / "tree"),
    }
    receipt = Receipt(stage, f"{number:064x}", {"inputs": {}}, outputs, started=float(number))
    Receipts(home).save(receipt)
    return receipt


@pytest.fixture
def home(tmp_path):
    place = tmp_path / "home"
    for name, text in {**KEPT, **LEFT_OUT, **SECRETS}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "secrets" / "board-laptop").chmod(0o600)
    (place / "notify" / "waiting" / "1.json").chmod(0o600)
    for number in (1, 2):
        make(place, number)
    (place / "prefect").mkdir()
    with contextlib.closing(sqlite3.connect(place / "prefect" / "prefect.db")) as database, database:
        database.execute("CREATE TABLE runs (name)")
        database.execute("INSERT INTO runs VALUES ('first')")
    return place


@pytest.fixture
def archive(home, tmp_path):
    target = tmp_path / "backup.tar.gz"
    back_up(home, home / "boards.toml", target)
    return target


def contents(home):
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file() and not path.is_symlink()}


@pytest.mark.parametrize("name", ["backup.tar.gz", "backup.tgz", "backup.tar"])
def test_what_matters_comes_back_and_nothing_else(home, tmp_path, name):
    fleet_file = tmp_path / "elsewhere.toml"
    fleet_file.write_text('[boards.porch]\nsoc = "Ascend310"\n')
    target = tmp_path / name
    done = back_up(home, fleet_file, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert done.archive_bytes == target.stat().st_size
    new = tmp_path / "new" / "home"
    new.parent.mkdir()
    back = restore(target, new)
    assert (back.files, back.bytes, back.before) == (done.files, done.bytes, None)
    found = {name for name in contents(new) if not name.startswith("locks/")}
    assert set(KEPT) <= found
    assert not set(LEFT_OUT) & found
    assert not set(SECRETS) & found
    assert {name.partition("/")[0] for name in found} == {name.partition("/")[0] for name in (*STATE, *ARTIFACTS)}
    assert (new / "boards.toml").read_text() == fleet_file.read_text()
    for path in found - {"boards.toml", "prefect/prefect.db"}:
        assert (new / path).read_bytes() == (home / path).read_bytes()
        assert stat.S_IMODE((new / path).stat().st_mode) == stat.S_IMODE((home / path).stat().st_mode)
    with contextlib.closing(sqlite3.connect(new / "prefect" / "prefect.db")) as database:
        assert database.execute("SELECT name FROM runs").fetchall() == [("first",)]
    assert list(Receipts(new).all()) == list(Receipts(home).all())
    assert (new / "latest" / "train" / "file").read_text().startswith("file 2")
    assert [path.name for path in new.parent.iterdir()] == ["home"]


def test_secrets_come_only_when_asked_for(home, tmp_path):
    target = tmp_path / "all.tar"
    back_up(home, home / "boards.toml", target, secrets=True)
    restore(target, tmp_path / "new")
    for name, text in SECRETS.items():
        assert (tmp_path / "new" / name).read_text() == text
    assert stat.S_IMODE((tmp_path / "new" / "secrets" / "board-laptop").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "text"), [("backup.zip", "does not say what it is"), ("there.tar", "is there already")]
)
def test_a_target_that_cannot_be_one_is_refused(home, tmp_path, name, text):
    (tmp_path / "there.tar").write_text("something else")
    with pytest.raises(UserError, match=text):
        back_up(home, home / "boards.toml", tmp_path / name)
    assert (tmp_path / "there.tar").read_text() == "something else"
    with pytest.raises(UserError, match="nothing to back up"):
        back_up(tmp_path / "absent", tmp_path / "boards.toml", tmp_path / "b.tar")
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("damage", ["changed", "missing", "receipt"])
def test_a_damaged_store_gives_no_backup(home, tmp_path, damage):
    receipt = next(Receipts(home).all())
    path = ArtifactStore(home).path(receipt.outputs["file"])
    if damage == "receipt":
        Receipts(home).path("train", receipt.key).write_text("{")
    elif damage == "missing":
        path.unlink()
    else:
        path.chmod(0o644)
        path.write_text("x" * path.stat().st_size)
    words = {"changed": "was changed on disk", "missing": "is missing", "receipt": "is damaged"}
    with pytest.raises(Corrupt, match=words[damage]):
        back_up(home, home / "boards.toml", tmp_path / "b.tar")
    assert not list(tmp_path.glob("*b.tar*"))


def test_a_damaged_database_gives_no_backup(home, tmp_path):
    path = home / "prefect" / "prefect.db"
    content = path.read_bytes()
    path.write_bytes(content[:16] + bytes(range(84)) + content[100:])
    with pytest.raises(Corrupt, match=r"prefect/prefect\.db is damaged"):
        back_up(home, home / "boards.toml", tmp_path / "b.tar")
    assert not list(tmp_path.glob("*b.tar*"))


def test_a_backup_is_consistent_while_a_run_goes_on(home, tmp_path):
    """Rows come in pairs, a receipt after its bytes, and the registry names a receipt that is there."""
    begun, over = threading.Event(), threading.Event()
    database = home / "prefect" / "prefect.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE halves (number, half)")
        connection.commit()

    def go_on():
        number = 10
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
            while not over.is_set() and number < 500:
                number += 1
                receipt = make(home, number)
                (home / ".r.tmp").write_text(json.dumps({"champion": receipt.key}))
                (home / ".r.tmp").rename(home / "registry.json")
                with connection:
                    connection.executemany("INSERT INTO halves VALUES (?, ?)", [(number, 0), (number, 1)])
                begun.set()

    running = threading.Thread(target=go_on)
    running.start()
    assert begun.wait(60)
    try:
        for number in range(4):
            back_up(home, home / "boards.toml", tmp_path / f"{number}.tar.gz")
    finally:
        over.set()
        running.join()
    for number in range(4):
        new = tmp_path / f"new-{number}"
        restore(tmp_path / f"{number}.tar.gz", new)
        receipts = {receipt.key: receipt for receipt in Receipts(new).all()}
        for receipt in receipts.values():
            for artifact in receipt.outputs.values():
                ArtifactStore(new).verify(artifact, deep=True)
        assert json.loads((new / "registry.json").read_text())["champion"] in receipts
        with contextlib.closing(sqlite3.connect(new / "prefect" / "prefect.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counts = connection.execute("SELECT COUNT(*) FROM halves GROUP BY number").fetchall()
            assert set(counts) == {(2,)}


def test_a_release_that_goes_while_it_is_read_is_left_out_whole(home, tmp_path, monkeypatch):
    second = home / "fleet" / "releases" / "second"
    second.mkdir()
    (second / "a.json").write_text("a")
    (second / "b.json").write_text("b")
    real = type(home).read_bytes

    def vanishing(path):
        if path.parent == second:
            (second / "b.json").unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(type(home), "read_bytes", vanishing)
    back_up(home, home / "boards.toml", tmp_path / "b.tar")
    monkeypatch.undo()
    restore(tmp_path / "b.tar", tmp_path / "new")
    assert not (tmp_path / "new" / "fleet" / "releases" / "second").exists()
    assert (tmp_path / "new" / "fleet" / "releases" / "first").exists()


def test_a_home_that_is_not_empty_is_left_alone(home, archive):
    before = contents(home)
    with pytest.raises(UserError, match="is not empty") as error:
        restore(archive, home)
    assert "--replace" in error.value.hint
    assert contents(home) == before


def test_an_empty_folder_takes_it(archive, tmp_path):
    (tmp_path / "empty").mkdir()
    restore(archive, tmp_path / "empty")
    assert len(list(Receipts(tmp_path / "empty").all())) == 2


def test_a_home_that_is_replaced_is_kept_aside(home, archive):
    make(home, 3)
    done = restore(archive, home, replace=True)
    assert len(list(Receipts(home).all())) == 2
    assert len(list(Receipts(done.before).all())) == 3
    assert (done.before / "secrets" / "board-laptop").read_text() == "private"


def test_a_home_in_use_is_not_replaced(home, archive, monkeypatch):
    with hold(home / "locks" / LOCK, shared=True), pytest.raises(Refused, match="a run is under way"):
        restore(archive, home, replace=True)
    state = {"pid": os.getpid(), "created": _created(), "title": "Prefect server", "address": "", "stop_seconds": 1}
    (home / "services" / "prefect.json").write_text(json.dumps(state))
    with pytest.raises(Refused, match="Prefect server runs") as error:
        restore(archive, home, replace=True)
    assert "atlasflow down" in error.value.hint
    assert len(list(Receipts(home).all())) == 2
    assert not list(home.parent.glob(".home.restoring/*"))


def _created():
    import psutil

    return psutil.Process().create_time()


def rewritten(archive, change):
    """The archive with other members: `change` maps a list of (member, bytes)."""
    with tarfile.open(archive) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    target = archive.with_name("other.tar")
    with tarfile.open(target, "w") as tar:
        for member, data in change(members):
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target


def added(name, kind=tarfile.REGTYPE, link=""):
    def change(members):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        return [(info, b""), *members]

    return change


def manifest(**changes):
    def change(members):
        *others, (member, data) = members
        return [*others, (member, json.dumps({**json.loads(data), **changes}).encode())]

    return change


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (added("../outside"), Corrupt, "does not belong into a home"),
        (added("/etc/outside"), Corrupt, "does not belong into a home"),
        (added("objects/../../outside"), Corrupt, "does not belong into a home"),
        (added("other/file"), Corrupt, "does not belong into a home"),
        (added("objects/link", tarfile.SYMTYPE, "/etc/passwd"), Corrupt, "which no backup of ours does"),
        (added("objects/link", tarfile.LNKTYPE, "/etc/passwd"), Corrupt, "which no backup of ours does"),
        (added("objects/device", tarfile.CHRTYPE), Corrupt, "which no backup of ours does"),
        (added("objects/more"), Corrupt, "objects/more is not what its manifest says"),
        (lambda members: [members[0], *members], Corrupt, "which no backup of ours does"),
        (lambda members: [*members, (tarfile.TarInfo("objects/late"), b"")], Corrupt, "which no backup of ours does"),
        (lambda members: members[1:], Corrupt, "is not what its manifest says"),
        (lambda members: [(members[0][0], b"other"), *members[1:]], Corrupt, "is not what its manifest says"),
        (lambda members: members[:-1], Corrupt, "ends before its manifest"),
        (lambda members: [*members[:-1], (members[-1][0], b"{")], Corrupt, "manifest of .* is damaged"),
        (lambda members: [*members[:-1], (members[-1][0], b"[]")], Corrupt, "manifest of .* is damaged"),
        (manifest(files=3), Corrupt, "manifest of .* is damaged"),
        (manifest(schema=2), Refused, "newer AtlasFlow"),
    ],
)
def test_an_archive_that_is_not_as_we_wrote_it_is_refused(archive, tmp_path, change, kind, text):
    target = rewritten(archive, change)
    (tmp_path / "place").mkdir()
    with pytest.raises(kind, match=text):
        restore(target, tmp_path / "place" / "new")
    assert [path.name for path in (tmp_path / "place").iterdir() if not path.name.endswith(".lock")] == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_an_archive_that_was_cut_is_refused(archive, tmp_path, share):
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Corrupt, match=r"cut|damaged"):
        restore(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_flipped_bit_is_found_or_does_no_harm(archive, tmp_path):
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


def test_what_is_no_archive_at_all(tmp_path):
    with pytest.raises(UserError, match="there is no backup"):
        restore(tmp_path / "absent.tar", tmp_path / "new")
    (tmp_path / "text.tar").write_text("hello" * 1000)
    with pytest.raises(Corrupt, match="no backup"):
        restore(tmp_path / "text.tar", tmp_path / "new")


PROGRAM = textwrap.dedent(
    """
    import os, resource, signal, sys
    from pathlib import Path
    from infra.backup import restoring, writing

    what, number, home, archive = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    if what.startswith("full"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    passed = 0

    def dying(function):
        def call(*arguments, **options):
            global passed
            passed += 1
            if passed == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call

    if what == "kill-backup":
        writing._Writer._add = dying(writing._Writer._add)
    if what == "kill-restore":
        restoring._write = dying(restoring._write)
    if what == "kill-replace":
        Path.rename = dying(Path.rename)
    try:
        if what.endswith("backup"):
            writing.back_up(home, home / "boards.toml", archive)
        else:
            restoring.restore(archive, home, replace=True)
    except Exception as error:
        print(type(error).__name__, error)
        sys.exit(3)
    """
)


def run(what, number, home, archive):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, what, str(number), str(home), str(archive)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("number", [1, 8, 14])
def test_a_killed_backup_leaves_none(home, tmp_path, number):
    target = tmp_path / "b.tar.gz"
    assert run("kill-backup", number, home, target).returncode == -signal.SIGKILL
    assert not target.exists()
    back_up(home, home / "boards.toml", target)
    restore(target, tmp_path / "new")


@pytest.mark.parametrize(("what", "number"), [("kill-restore", 1), ("kill-restore", 9), ("kill-replace", 1)])
def test_a_killed_restore_leaves_the_old_home(home, archive, what, number):
    make(home, 3)
    assert run(what, number, home, archive).returncode == -signal.SIGKILL
    assert len(list(Receipts(home).all())) == 3
    assert restore(archive, home, replace=True).before is not None
    assert not (home.parent / ".home.restoring").exists()
    assert len(list(Receipts(home).all())) == 2


def test_a_restore_that_is_killed_between_the_old_home_and_the_new_one_keeps_both(home, archive):
    make(home, 3)
    assert run("kill-replace", 2, home, archive).returncode == -signal.SIGKILL
    (before,) = home.parent.glob("home.before-*")
    assert len(list(Receipts(before).all())) == 3
    restore(archive, home)
    assert len(list(Receipts(home).all())) == 2


def test_a_full_disk_gives_no_backup_and_no_half_a_home(home, archive, tmp_path):
    full = run("full-backup", 4096, home, tmp_path / "b.tar")
    assert "the disk is full, so there is no backup" in full.stdout
    assert not list(tmp_path.glob("*b.tar*"))
    full = run("full-restore", 1024, tmp_path / "new", archive)
    assert "the disk is full, so there is no home" in full.stdout
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / ".new.restoring").exists()


def test_a_path_belongs_into_a_home_or_not():
    assert belongs("objects/ab/cd")
    assert belongs("registry.json")
    for name in ("", "/objects/a", "objects/../a", "objects//a", "./objects/a", "locks/a", "objects\\..\\a", ".."):
        assert not belongs(name), name
