"""A disk that is full while state is written, really so: the limit on file sizes of this process is a few bytes.

What was there stays readable, nothing half-made is left, and when there is room again the same call works.
"""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.champions import Champion, Metrics, Registry
from infra.fleet import Fleet
from infra.modelarts.ledger import Intent, Ledger
from infra.notify.message import Message
from infra.notify.outbox import Outbox
from infra.services import Services
from infra.settings.fleet import edit_board, read_fleet
from infra.store import fresh_cache, proofs
from infra.store.artifacts import ArtifactStore
from infra.store.disk import is_full
from infra.store.receipts import Receipt, Receipts
from infra.store.rewrite import rewrite
from infra.store.runs import Runs, StageRecord
from infra.store.stat_cache import StatCache

ROOM = 24  # bytes a file


@contextmanager
def full_disk() -> Iterator[Any]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Receiving:
    def __init__(self, home: Any) -> None:
        self.receipts = Receipts(home)

    def write(self, number: Any) -> None:
        self.receipts.save(Receipt("train", "k" * 64, {"inputs": {}}, {}, started=float(number)))

    def read(self) -> Any:
        found = self.receipts.load("train", "k" * 64)
        return found and int(found.started)


class Promoting:
    def __init__(self, home: Any) -> None:
        self.registry = Registry(home)

    def write(self, number: Any) -> None:
        name = f"r{number}"
        model = Champion(
            name,
            "c",
            "quick",
            {},
            "d",
            "e",
            Metrics(0.5, (0.4, 0.6), 100, 1.5),
            {"train": "k"},
            (),
            "",
            1.0,
            "Ada",
            "better",
        )
        champion = self.registry.read().champion
        self.registry.promote(model, ["k"], over=champion.release if champion else "", pending=False)

    def read(self) -> Any:
        champion = self.registry.read().champion
        return champion and int(champion.release[1:])


class Running:
    def __init__(self, home: Any) -> None:
        self.runs = Runs(home)
        self.record = self.runs.begin("local")

    def write(self, number: Any) -> None:
        self.record.stages = [StageRecord("train", "k", "ran", "never ran", float(number))]
        self.runs.save(self.record)

    def read(self) -> Any:
        found = self.runs.latest(1)
        return int(found[0].stages[0].seconds) if found else None


class Proving:
    def __init__(self, home: Any) -> None:
        self.home = home

    def write(self, number: Any) -> None:
        proofs.note(self.home, "deploy", "k" * 64, float(number))

    def read(self) -> Any:
        found = proofs.proofs(self.home)
        return int(next(iter(found.values()))) if found else None


class Wanting:
    def __init__(self, home: Any) -> None:
        self.fleet = Fleet(home)

    def write(self, number: Any) -> None:
        self.fleet.want(str(number), "porch")

    def read(self) -> Any:
        found = self.fleet.wanted().get("porch")
        return found and int(found)


class Listing:
    def __init__(self, home: Any) -> None:
        self.path = home / "boards.toml"

    def write(self, number: Any) -> None:
        edit_board(self.path, "porch", {"address": "192.168.1.2", "port": number})

    def read(self) -> Any:
        return read_fleet(self.path).get("porch", {}).get("port")


class Intending:
    def __init__(self, home: Any) -> None:
        self.ledger = Ledger(home / "intents")

    def write(self, number: Any) -> None:
        self.ledger.write(Intent("k" * 64, "atlasflow-1", str(number)))

    def read(self) -> Any:
        found = self.ledger.read("k" * 64)
        return found and int(found.id)


def files(home: Any) -> Any:
    return {path for path in home.rglob("*") if path.is_file() and not path.name.endswith((".lock", ".torn"))}


@pytest.mark.parametrize("kind", [Receiving, Promoting, Running, Proving, Wanting, Listing, Intending])
def test_what_was_there_stays_and_the_next_try_works(tmp_path: Path, kind: Any) -> None:
    state = kind(tmp_path)
    for before, number in ((None, 1), (1, 2)):
        there = files(tmp_path)
        with full_disk(), pytest.raises(OSError, match="File too large") as error:
            state.write(number)
        assert is_full(error.value)
        assert error.value.errno == errno.EFBIG
        assert state.read() == before
        assert {path for path in files(tmp_path) - there if path.suffix != ".jsonl"} <= _locks(tmp_path)
        state.write(number)
        assert state.read() == number


def _locks(home: Any) -> Any:
    return set((home / "locks").glob("*"))


def test_a_notification_is_kept_whole_or_not(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    message = Message("failure", "a run failed", "it failed", "")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        outbox.put(message, ("mail",))
    assert not files(tmp_path)
    outbox.put(message, ("mail",))
    assert len(files(tmp_path)) == 1


def test_ports_stay_known(tmp_path: Path) -> None:
    services = Services(tmp_path)
    port = services.port("prefect")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        services.port("objects")
    assert services.ports.known()["prefect"] == services.port("prefect") == port


def test_artifacts_appear_whole_or_not(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "part").write_text("parameters" * 10)
    store = ArtifactStore(tmp_path / "home")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        store.put_tree("model", source)
    assert not files(tmp_path / "home")
    store.verify(store.put_tree("model", source), deep=True)


def test_caches_may_fail_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking works on a full disk: a cache that is not kept costs time alone."""
    path = tmp_path / "file"
    path.write_text("text")
    cache = StatCache(tmp_path / "statcache.json")
    digest = cache.digest(path, deep=True)
    monkeypatch.setattr(fresh_cache, "_code_files", lambda: [str(path)])
    begun = fresh_cache.now_ns() + 10**9
    with full_disk():
        cache.save()
        assert not fresh_cache.remember(tmp_path, ["--to", "train"], begun, [path], {"rows": []})
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file"]
    assert StatCache(tmp_path / "statcache.json").digest(path) == digest
    assert fresh_cache.recall(tmp_path, ["--to", "train"]) is None


def test_an_upgrade_that_finds_no_room_leaves_the_receipt_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = Receiving(tmp_path)
    state.write(1)
    (path,) = (tmp_path / "receipts").glob("*/*.json")
    before = path.read_text()
    for module in ("migrations", "receipts", "rewrite"):
        monkeypatch.setattr(f"infra.store.{module}.SCHEMA", 2)
    monkeypatch.setattr("infra.store.migrations.STEPS", {1: dict})
    with full_disk(), pytest.raises(OSError, match="File too large"):
        rewrite(tmp_path, dry_run=False)
    assert path.read_text() == before
    assert [item.outcome for item in rewrite(tmp_path, dry_run=False)] == ["upgraded"]
    assert state.read() == 1
