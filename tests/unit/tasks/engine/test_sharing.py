"""Two machines with a home each, one mirror, and the locks of one server."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.errors import Transient
from infra.leases import Leases
from infra.ports.storage import StoredObject, SyncResult
from infra.settings import load
from infra.store.digests import file_digest
from infra.store.mirror import Mirror
from infra.world import World
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.engine.stage import Stage, StageOutput
from tests.leasing import serving

QUICK: dict[str, Any] = {"pause": 0.01, "renew_seconds": 0.02, "patience": 0.1}


class Bucket:
    """A bucket that is a folder."""

    def __init__(self, folder: Any) -> None:
        self.folder = folder

    def head(self, key: Any) -> Any:
        path = self.folder / key
        return StoredObject(key, path.stat().st_size, file_digest(path)) if path.exists() else None

    def put(self, key: Any, file: Any, progress: Any = None) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def get(self, key: Any, target: Any, sha256: Any = None, progress: Any = None) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(self.folder / key, target)

    def sync(self, prefix: Any, files: Any, progress: Any = None) -> Any:
        for name, file in files.items():
            self.put(f"{prefix}/{name}", file)
        return SyncResult(tuple(files), (), sum(file.size for file in files.values()))


class Machine(Silent):
    """One machine; `may_go` holds its stage back in the middle of the work."""

    def __init__(self, folder: Any, bucket: Any, leases: Any) -> None:
        self.ran: list[str] = []
        self.lines: list[str] = []
        self.begun, self.may_go = threading.Event(), threading.Event()
        self.may_go.set()
        self.arguments = (load(), folder, cast("World", SimpleNamespace()), self)
        self.sharing = {"mirror": Mirror(lambda: bucket, "mirror"), "leases": leases}

    def line(self, stage: Any, text: Any) -> None:
        self.lines.append(text)

    def chain(self) -> Any:
        return Chain((SOURCE, REFINE), *self.arguments, **self.sharing)


def run_source(work: Any) -> Any:
    machine = work.reporter
    machine.ran.append("source")
    machine.begun.set()
    assert machine.may_go.wait(30)
    (work.folder / "data.txt").write_text("data")
    return StageOutput({"data": work.folder / "data.txt"})


def run_refine(work: Any) -> Any:
    work.reporter.ran.append("refine")
    (work.folder / "refined.txt").write_text(work.input("data").read_text().upper())
    return StageOutput({"refined": work.folder / "refined.txt"})


SOURCE = Stage("source", "pure", run_source)
REFINE = Stage("refine", "pure", run_refine, needs={"data": ("source", "data")})


@pytest.fixture
def server() -> Iterator[Any]:
    with serving() as (limits, api):
        yield limits, api


@pytest.fixture
def machines(tmp_path: Path, server: Any) -> Any:
    bucket = Bucket(tmp_path / "bucket")
    return [Machine(tmp_path / name, bucket, Leases(server[1], {}, **QUICK)) for name in ("first", "second")]


def test_the_second_machine_waits_and_then_pulls_what_the_first_one_made(machines: Any, server: Any) -> None:
    first, second = machines
    first.may_go.clear()
    results: dict[str, Any] = {}
    threads = [threading.Thread(target=lambda: results.update(first=first.chain().run(SOURCE)))]
    threads[0].start()
    assert first.begun.wait(30)
    threads.append(threading.Thread(target=lambda: results.update(second=second.chain().run(SOURCE))))
    threads[1].start()
    server[0].wait_until(lambda: any("waiting" in line for line in second.lines))
    first.may_go.set()
    for thread in threads:
        thread.join(30)
    assert (first.ran, second.ran) == (["source"], [])
    assert not results["first"].reused
    assert results["second"].reused
    assert results["first"].receipt == results["second"].receipt
    assert any("from the mirror" in line for line in second.lines)
    assert server[0].names() == []


def test_what_is_in_the_mirror_needs_no_lock(machines: Any, server: Any) -> None:
    first, second = machines
    first.chain().run(SOURCE)
    server[0].away = True
    assert second.chain().run(SOURCE).reused
    assert first.chain().run(SOURCE).reused


def test_a_server_that_is_away_is_an_error_and_no_reason_to_do_it_alone(machines: Any, server: Any) -> None:
    server[0].away = True
    with pytest.raises(Transient, match="holds the locks"):
        machines[0].chain().run(SOURCE)
    assert machines[0].ran == []


def test_a_stage_alone_finds_what_another_machine_made_before_it(machines: Any) -> None:
    first, second = machines
    first.chain().run(SOURCE)
    chain = second.chain()
    assert chain.recall(SOURCE).state == "fresh"
    chain.run(REFINE)
    assert second.ran == ["refine"]


def test_a_stage_that_failed_frees_the_lock(machines: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = machines
    first.begun.set = lambda: (_ for _ in ()).throw(Transient("cut"))
    with pytest.raises(Transient, match="cut"):
        first.chain().run(SOURCE)
    assert server[0].names() == []
    assert not second.chain().run(SOURCE).reused


def test_a_byte_that_flipped_here_is_healed_from_the_mirror(machines: Any) -> None:
    first, second = machines
    first.chain().run(SOURCE)
    chain = second.chain()
    receipt = chain.run(SOURCE).receipt
    damaged = chain.store.path(receipt.outputs["data"])
    damaged.chmod(0o644)
    damaged.write_text("tada")
    assert second.chain().run(SOURCE).reused
    assert damaged.read_text() == "data"
    assert second.ran == []


def test_without_a_server_for_all_machines_nobody_is_asked(machines: Any, server: Any) -> None:
    alone = machines[0]
    alone.sharing["leases"] = None
    server[0].away = True
    assert not alone.chain().run(SOURCE).reused
