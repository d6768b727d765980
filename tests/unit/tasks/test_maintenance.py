"""The chores, on a small store and with an object store and a trainer in memory."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.champions import Registry
from infra.errors import Transient
from infra.settings import load
from infra.store.artifacts import ArtifactStore
from infra.store.locks import hold
from infra.store.mirror import Mirror
from infra.store.receipts import Receipt
from tasks import maintenance
from tasks.engine.chain import Chain
from tasks.maintenance import perform
from tests.unit.infra.champions import champion
from tests.unit.infra.store.test_mirror import FolderStore


class Uploads:
    """An object store with unfinished uploads, by key, of these ages in hours."""

    def __init__(self, ages: Any) -> None:
        self.ages = ages

    def unfinished(self, prefix: Any) -> Any:
        return [key for key in self.ages if key.startswith(prefix)]

    def abort_unfinished(self, prefix: Any, age: Any) -> Any:
        ended = [key for key in self.unfinished(prefix) if timedelta(hours=self.ages[key]) > age]
        for key in ended:
            del self.ages[key]
        return ended


@pytest.fixture
def chain(tmp_path: Path) -> Any:
    def opened(store: Any = None, trainer: Any = None, mirror: Any = None, **settings: Any) -> Any:
        def object_store() -> Any:
            if store is None:
                raise Transient("nobody answers", hint="start it")
            return store

        world: Any = SimpleNamespace(
            object_store=object_store, trainer=lambda: trainer, mirror=lambda: mirror, leases=lambda: None
        )
        return Chain([], load(overrides=settings), tmp_path, world, SimpleNamespace())

    return opened


def keep(chain: Any, name: str = "model", content: bytes = b"parameters") -> Any:
    source = chain.home / "source"
    source.write_bytes(content)
    artifact = chain.store.put_file(name, source, "application/octet-stream")
    source.unlink(missing_ok=True)
    return artifact


def test_old_unfinished_uploads_are_aborted_and_new_ones_are_not(chain: Any) -> None:
    uploads = Uploads({"atlasflow/old": 30, "atlasflow/new": 1, "theirs/old": 99})
    assert perform("unfinished-uploads", chain(uploads), dry_run=True).items == ("atlasflow/old", "atlasflow/new")
    done = perform("unfinished-uploads", chain(uploads), dry_run=False)
    assert (done.found, done.items, done.failed) == ("1 aborted", ("atlasflow/old",), False)
    assert set(uploads.ages) == {"atlasflow/new", "theirs/old"}


def test_an_error_is_a_result(chain: Any) -> None:
    outcome = perform("unfinished-uploads", chain(), dry_run=False)
    assert outcome.failed
    assert "nobody answers" in outcome.found


def test_receipts_of_a_champion_of_another_machine_are_kept(chain: Any, tmp_path: Path) -> None:
    mirror = Mirror(lambda: FolderStore(tmp_path / "bucket"), "team")
    other = Registry(tmp_path / "other", mirror)
    other.promote(champion("a", keys={"train": "k" * 64}), ["k" * 64], over="", pending=False)
    here = chain(mirror=mirror)
    for letter in "kl":
        here.receipts.save(Receipt("train", letter * 64, {"inputs": {}, "settings": {}}, {}))
    perform("garbage", here, dry_run=False)
    assert [receipt.key for receipt in here.receipts.all()] == ["k" * 64]


def test_garbage_is_counted_first_and_then_removed(chain: Any) -> None:
    artifact = keep(chain())
    path = ArtifactStore(chain().home).object_path(artifact.sha256)
    dry = perform("garbage", chain(), dry_run=True)
    assert "0 receipts and 1 objects would be removed" in dry.found
    assert path.exists()
    assert "0 receipts and 1 objects removed" in perform("garbage", chain(), dry_run=False).found
    assert not path.exists()


def test_a_damaged_artifact_is_listed(chain: Any) -> None:
    artifact = keep(chain())
    chain().receipts.save(Receipt("train", "k" * 64, {"inputs": {}, "settings": {}}, {"checkpoint": artifact}))
    assert perform("artifacts", chain(), dry_run=False).found == "1 artifacts read, 0 damaged or missing"
    path = ArtifactStore(chain().home).object_path(artifact.sha256)
    path.chmod(0o644)
    path.write_bytes(b"Parameters")
    found = perform("artifacts", chain(), dry_run=False)
    assert found.failed
    assert found.items[0].startswith("train checkpoint: ")


def test_orphan_jobs_are_listed_and_not_stopped(chain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trainer:
        def orphans(self) -> Any:
            return [SimpleNamespace(name="atlasflow-1-1", phase="Running")]

    monkeypatch.setattr("infra.modelarts.trainer.ModelArtsTrainer", Trainer)
    found = perform("orphan-jobs", chain(trainer=Trainer(), **{"train.target": "modelarts"}), dry_run=False)
    assert (found.failed, found.items) == (True, ("atlasflow-1-1",))
    assert "jobs orphans --stop" in found.found
    assert not perform("orphan-jobs", chain(), dry_run=False).failed


def test_locks_that_no_process_holds_are_removed(chain: Any) -> None:
    home = chain().home
    for path in (home / "locks" / "train-1.lock", home / "locks" / "train-2.lock", home / "leases" / "3.lease"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with hold(home / "locks" / "train-2.lock"):
        assert perform("locks", chain(), dry_run=True).found == "2 would be removed, 1 are held"
        assert perform("locks", chain(), dry_run=False).found == "2 removed, 1 are held"
        assert [path.name for path in (home / "locks").iterdir()] == ["train-2.lock"]


def test_the_database_gives_its_space_back(chain: Any) -> None:
    folder = chain().home / "prefect"
    assert "no database" in perform("database", chain(), dry_run=False).found
    folder.mkdir()
    with sqlite3.connect(folder / "prefect.db") as connection:
        connection.execute("CREATE TABLE log (text)")
        connection.execute("INSERT INTO log VALUES (randomblob(1000000))")
        connection.commit()
        connection.execute("DELETE FROM log")
    connection.close()
    before = (folder / "prefect.db").stat().st_size
    assert "are free" in perform("database", chain(), dry_run=True).found
    assert (folder / "prefect.db").stat().st_size == before
    assert not perform("database", chain(), dry_run=False).failed
    assert (folder / "prefect.db").stat().st_size < before / 10


def test_every_chore_has_a_docstring() -> None:
    assert all(chore.__doc__ for chore in maintenance.CHORES.values())
