import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from infra.store import proofs
from infra.store.artifacts import ArtifactStore
from infra.store.atomic import replacing
from infra.store.digests import value_digest
from infra.store.gc import ASIDE, LOCK, SCRATCH_SECONDS, Garbage, Retained, collect, retained
from infra.store.locks import hold
from infra.store.receipts import SCHEMA, Receipt, Receipts
from infra.store.runs import Runs, StageRecord


class Bench:
    """A home with receipts whose stages made one file each; `wants` are the receipts that a stage's inputs are from."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = ArtifactStore(home)
        self.receipts = Receipts(home)
        self.runs = Runs(home)
        self.count = 0

    def made(
        self, stage: str, key: str, *wants: Receipt, text: str | None = None, boards: Sequence[str] = ()
    ) -> Receipt:
        self.count += 1
        source = self.home / "source.txt"
        source.parent.mkdir(exist_ok=True)
        source.write_text(text or f"{stage} {key}")
        outputs = {"out": self.store.put_file("out.txt", source, "text/plain")}
        inputs = {item.stage: item.outputs["out"].sha256 for item in wants}
        ingredients = {"inputs": inputs, "settings": {"boards": list(boards)}}
        receipt = Receipt(stage, key, ingredients, outputs, started=float(self.count))
        self.receipts.save(receipt)
        return receipt

    def ran(self, *receipts: Receipt) -> None:
        record = self.runs.begin("local")
        record.id = f"{len(list(self.runs.folder.glob('*'))):04}"
        record.stages = [StageRecord(item.stage, item.key, "ran", "", 0.0) for item in receipts]
        self.runs.save(record)

    def retained(self, keep_runs: int = 1) -> Retained:
        return retained(self.receipts, self.runs, keep_runs)

    def collect(self, *, dry_run: bool = False, on_wait: Callable[[], None] | None = None) -> Garbage:
        return collect(self.home, self.receipts, self.retained, dry_run=dry_run, on_wait=on_wait)

    def path(self, receipt: Receipt) -> Path:
        return self.store.path(receipt.outputs["out"])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "home")


def test_what_a_receipt_names_that_could_not_be_upgraded_is_kept_with_it(bench: Bench) -> None:
    """One that was upgraded is kept aside too, but its bytes live and die with the receipt that it has become."""
    folder = bench.home / "folder"
    folder.mkdir(parents=True)
    (folder / "part").write_text("a part of a tree")
    paid, upgraded = bench.made("train", "a" * 64), bench.made("train", "b" * 64)
    tree = bench.store.put_tree("tree", folder)
    bench.receipts.save(replace(paid, outputs={**paid.outputs, "tree": tree}))
    for receipt, number in ((paid, 0), (upgraded, SCHEMA)):
        path = bench.receipts.path("train", receipt.key)
        kept = bench.home / ASIDE / f"schema-{number}" / "train" / path.name
        kept.parent.mkdir(parents=True)
        body = json.loads(path.read_text()) | {"schema": number}
        del body["seal"]
        kept.write_text(json.dumps({**body, "seal": value_digest(body)}))
        path.unlink()
    assert bench.collect().objects == (bench.path(upgraded).name,)
    assert bench.path(paid).exists()
    assert {file.path.read_text() for file in bench.store.files(tree).values()} == {"a part of a tree"}
    shutil.rmtree(bench.home / ASIDE)
    assert len(bench.collect().objects) == 3


def test_a_half_written_file_may_be_done_while_it_is_looked_at(bench: Bench) -> None:
    """Services and outboxes write without the lock of runs; a link to nowhere is as gone as a file can be."""
    bench.made("train", "a")
    (bench.home / ".registry.json.0.tmp").symlink_to("nowhere")
    assert len(bench.collect().receipts) == 1


def test_what_a_recent_run_used_lives_with_all_that_it_came_from(bench: Bench) -> None:
    data = bench.made("download", "d")
    old = bench.made("train", "old", data)
    new = bench.made("train", "new", data)
    report = bench.made("evaluate", "e", new)
    bench.ran(old)
    bench.ran(report)
    assert bench.retained().keys == {"e", "new", "d"}
    assert bench.retained(keep_runs=2).keys == {"e", "new", "d", "old"}


def test_a_dry_run_removes_nothing_and_foretells_what_is_removed(bench: Bench) -> None:
    kept, lost = bench.made("train", "kept"), bench.made("train", "lost")
    bench.ran(kept)
    foretold = bench.collect(dry_run=True)
    assert bench.path(lost).exists()
    assert bench.receipts.load("train", "lost") is not None
    assert bench.collect() == foretold
    assert foretold.receipts == ("lost",)
    assert foretold.bytes == len("train lost")
    assert foretold.kept == 1
    assert not bench.path(lost).exists()
    assert bench.receipts.load("train", "lost") is None
    assert bench.path(kept).read_text() == "train kept"


def test_bytes_that_a_living_receipt_shares_stay(bench: Bench) -> None:
    kept, lost = bench.made("train", "kept", text="same"), bench.made("export", "lost", text="same")
    bench.ran(kept)
    assert bench.collect().objects == ()
    assert bench.path(lost).read_text() == "same"


def test_trees_live_and_die_with_their_files(bench: Bench, tmp_path: Path) -> None:
    folders = {}
    for name in ("kept", "lost"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file.txt").write_text(name)
        folders[name] = bench.store.put_tree(name, tmp_path / name)
        bench.receipts.save(Receipt("download", name, {"inputs": {}}, {"data": folders[name]}))
    bench.ran(next(item for item in bench.receipts.all() if item.key == "kept"))
    bench.collect()
    bench.store.verify(folders["kept"], deep=True)
    assert not bench.store.tree_path(folders["lost"].sha256).exists()
    assert len([path for path in (bench.home / "objects").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("damage", ["", "{", '{"file": {"sha256": "00"}}'])
def test_a_damaged_manifest_keeps_nothing_alive_and_stops_nothing(bench: Bench, tmp_path: Path, damage: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    tree = bench.store.put_tree("tree", tmp_path / "tree")
    bench.receipts.save(Receipt("download", "d", {"inputs": {}}, {"data": tree}))
    bench.ran(next(bench.receipts.all()))
    manifest = bench.store.tree_path(tree.sha256)
    manifest.chmod(0o644)
    manifest.write_text(damage)
    assert len(bench.collect().objects) == 1
    assert bench.receipts.load("download", "d") is not None


def test_each_board_keeps_what_it_runs_and_what_it_can_go_back_to(bench: Bench) -> None:
    first = bench.made("deploy", "1", boards=["porch"])
    bench.made("deploy", "2", boards=["laptop"])
    bench.made("deploy", "3", boards=["laptop"])
    latest = bench.made("deploy", "4", boards=["laptop", "porch"])
    bench.ran(latest)
    assert bench.retained().keys == {first.key, "3", "4"}


def test_half_written_files_of_killed_runs_are_removed(bench: Bench) -> None:
    bench.ran(bench.made("train", "kept"))
    left = bench.home / "objects" / "ab" / ".cdef.0123.tmp"
    left.parent.mkdir(exist_ok=True)
    left.write_text("half")
    assert bench.collect().objects == (left.name,)
    assert not left.exists()


def test_scratch_goes_when_its_stage_is_finished_and_stays_when_it_may_resume(bench: Bench) -> None:
    receipt = bench.made("train", "a" * 64)
    bench.ran(receipt)
    finished, resumable = (bench.home / "work" / f"train-{letter * 16}" for letter in "ab")
    for folder in (finished, resumable):
        folder.mkdir(parents=True)
    bench.collect()
    assert not finished.exists()
    assert resumable.exists()


def test_abandoned_scratch_goes_by_its_newest_file(bench: Bench) -> None:
    bench.ran(bench.made("train", "another"))
    abandoned, recent = (bench.home / "work" / f"train-{letter * 16}" for letter in "ab")
    long_ago = time.time() - SCRATCH_SECONDS - 60
    for folder in (abandoned, recent):
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "last.npz").write_text("")
        os.utime(folder / "checkpoints", (long_ago, long_ago))
        os.utime(folder, (long_ago, long_ago))
    os.utime(abandoned / "checkpoints" / "last.npz", (long_ago, long_ago))
    bench.collect()
    assert not abandoned.exists()
    assert recent.exists()


def test_proofs_of_what_is_gone_are_forgotten(bench: Bench) -> None:
    bench.ran(bench.made("upload", "kept"))
    bench.made("upload", "lost")
    for key in ("kept", "lost"):
        proofs.note(bench.home, "upload", key, 1.0)
    bench.collect()
    assert proofs.proofs(bench.home) == {"upload kept": 1.0}


def test_a_run_under_way_is_waited_for_and_what_it_adds_is_kept(bench: Bench) -> None:
    bench.ran(bench.made("train", "kept"))
    announced = threading.Event()
    done = []
    with hold(bench.home / "locks" / LOCK, shared=True):
        cleaning = threading.Thread(target=lambda: done.append(bench.collect(on_wait=announced.set)))
        cleaning.start()
        assert announced.wait(10)
        added = bench.made("train", "added")
        bench.ran(added)
        assert done == []
    cleaning.join(10)
    assert done[0].receipts == ("kept",)
    assert bench.path(added).exists()


def test_an_empty_home_has_no_garbage(bench: Bench) -> None:
    garbage = bench.collect()
    assert (garbage.receipts, garbage.objects, garbage.bytes, garbage.kept) == ((), (), 0, 0)


def test_what_killed_processes_left_half_written_goes_but_not_at_once(bench: Bench) -> None:
    bench.ran(bench.made("download", "d"))
    young = bench.home / ".young.tmp"
    names = ("receipts/download/.a.tmp", "runs/.b.tmp", "tuning/one/.c.tmp", "notify/waiting/.d.tmp")
    old = [bench.home / name for name in names]
    for path in (*old, young):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    for path in old:
        os.utime(path, (0, 0))
    bench.collect()
    assert not any(path.exists() for path in old)
    assert young.exists()


LONG_AGO = 1_000_000_000.0


class TestClockThatMoved:
    """Neither a clock that was set back nor one that was set forward makes a collection remove what is needed."""

    def test_what_a_run_made_after_the_clock_was_set_back_stays(self, bench: Bench) -> None:
        record = bench.runs.begin("local")
        record.stages = [StageRecord("train", bench.made("train", "old").key, "ran", "", 0.0)]
        bench.runs.save(record)
        record = Runs(bench.home, lambda: LONG_AGO).begin("local")
        made = bench.made("train", "new")
        record.stages = [StageRecord("train", made.key, "ran", "", 0.0)]
        bench.runs.save(record)
        assert bench.collect().receipts == ("old",)
        assert bench.path(made).exists()

    def test_what_a_board_runs_is_known_by_the_order_of_the_runs_too(self, bench: Bench) -> None:
        receipts = [bench.made("deploy", str(number), boards=["porch"]) for number in range(4)]
        back = replace(receipts[3], started=-1.0)  # deployed last, under a clock that was set back
        bench.receipts.save(back)
        bench.ran(*receipts[:3])
        bench.ran(back)
        bench.ran(bench.made("train", "t"))
        assert bench.retained().keys == {"t", "1", "2", "3"}

    def test_scratch_that_a_recent_run_wrote_under_another_clock_stays(self, bench: Bench) -> None:
        """The training was killed under a clock that was set back; now the clock is right again."""
        bench.ran(bench.made("download", "d"))
        scratch = bench.home / "work" / f"train-{'b' * 16}"
        scratch.mkdir(parents=True)
        os.utime(scratch, (LONG_AGO, LONG_AGO))
        (record,) = bench.runs.folder.iterdir()
        os.utime(record, (LONG_AGO - 5, LONG_AGO - 5))
        bench.collect()
        assert scratch.exists()

    def test_scratch_stays_when_no_run_tells_its_age(self, bench: Bench) -> None:
        scratch = bench.home / "work" / f"train-{'b' * 16}"
        scratch.mkdir(parents=True)
        os.utime(scratch, (LONG_AGO, LONG_AGO))
        bench.collect()
        assert scratch.exists()

    def test_a_temporary_file_of_a_living_process_stays(self, bench: Bench) -> None:
        with replacing(bench.home / "registry.json") as living:
            living.write_text("half")
            dead = living.with_name(living.name.replace(f".{os.getpid()}-", ".4194305-"))  # above the largest pid
            dead.write_text("half")
            for path in (living, dead):
                os.utime(path, (LONG_AGO, LONG_AGO))
            bench.collect()
            assert living.exists()
            assert not dead.exists()
