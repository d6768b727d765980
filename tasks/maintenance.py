"""Chores that keep an installation healthy and cheap. A dry run only reports what it finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, Corrupt
from infra.store.gc import Garbage, Retained, collect, retained
from infra.store.locks import remove_unheld
from infra.store.runs import Runs
from tasks.retrain.champions import registry_of

if TYPE_CHECKING:
    from infra.ports.storage import BucketMaintenance
    from tasks.engine.chain import Chain

# An upload in progress sends parts far more often; OBS itself never aborts one.
UNFINISHED_AGE = timedelta(days=1)
_DATABASE_SECONDS = 60


@dataclass(frozen=True)
class ChoreResult:
    """The result of one chore.

    Attributes:
        chore: its name.
        found: a sentence.
        items: names of what was found, such as jobs.
        failed: True when the chore failed, or found something that needs a person.
    """

    chore: str
    found: str
    items: tuple[str, ...] = ()
    failed: bool = False


@dataclass(frozen=True)
class Damage:
    """An artifact that is damaged or missing."""

    stage: str
    output: str
    problem: str

    def __str__(self) -> str:
        return f"{self.stage} {self.output}: {self.problem}"


def collect_garbage(chain: Chain, *, dry_run: bool, on_wait: Callable[[], None] | None = None) -> Garbage:
    """Remove what no recent run, no champion and no board needs; see `infra.store.gc.collect`."""

    def retain() -> Retained:
        champions = registry_of(chain).read().kept_keys()
        return retained(chain.receipts, Runs(chain.home), chain.settings.store.keep_runs, champions)

    return collect(chain.home, chain.receipts, retain, dry_run=dry_run, on_wait=on_wait)


def garbage(chain: Chain, *, dry_run: bool) -> ChoreResult:
    """Remove what no recent run, no champion and no board needs."""
    found = collect_garbage(chain, dry_run=dry_run)
    text = f"{len(found.receipts)} receipts and {len(found.objects)} objects {_removed(dry_run)}"
    text += f", {found.bytes / 1e6:.1f} MB"
    return ChoreResult("garbage", text, found.receipts)


def artifacts(chain: Chain, *, dry_run: bool) -> ChoreResult:  # noqa: ARG001 - it changes nothing
    """Read every artifact of every receipt and compare it with its digest."""
    checked, damaged = verify_artifacts(chain, deep=True)
    text = f"{checked} artifacts read, {len(damaged)} damaged or missing"
    return ChoreResult("artifacts", text, tuple(map(str, damaged)), failed=bool(damaged))


def verify_artifacts(chain: Chain, *, deep: bool) -> tuple[int, list[Damage]]:
    """Check every artifact of every receipt against its digest.

    Args:
        chain: of the home.
        deep: read every byte, also of files whose size and times have not changed.

    Returns:
        The number of artifacts, and those that are damaged or missing.
    """
    checked = 0
    damaged: list[Damage] = []
    for receipt in chain.receipts.all():
        for name, artifact in receipt.outputs.items():
            checked += 1
            try:
                chain.store.verify(artifact, deep=deep)
            except Corrupt as damage:
                damaged.append(Damage(receipt.stage, name, damage.message))
    chain.store.remember_checks()
    return checked, damaged


def unfinished_uploads(chain: Chain, *, dry_run: bool) -> ChoreResult:
    """Abort uploads to object storage that made no progress for a day: their parts are billed."""
    store: BucketMaintenance = chain.world.object_store()
    prefix = chain.settings.obs.prefix
    if dry_run:
        keys = store.unfinished(prefix)
        return ChoreResult("unfinished uploads", f"{len(keys)} found, of any age", tuple(keys))
    keys = store.abort_unfinished(prefix, UNFINISHED_AGE)
    return ChoreResult("unfinished uploads", f"{len(keys)} aborted", tuple(keys))


def orphan_jobs(chain: Chain, *, dry_run: bool) -> ChoreResult:  # noqa: ARG001 - it changes nothing
    """Find training jobs that are billed while no process here waits for them.

    They are not stopped: a process on another machine may wait for them.
    """
    if chain.settings.train.target != "modelarts":
        return ChoreResult("orphan jobs", "this profile does not train on ModelArts")
    from infra.modelarts.trainer import ModelArtsTrainer

    trainer = chain.world.trainer()
    names = tuple(job.name for job in trainer.orphans()) if isinstance(trainer, ModelArtsTrainer) else ()
    hint = "; `atlasflow jobs orphans --stop` ends them" if names else ""
    return ChoreResult("orphan jobs", f"{len(names)} found{hint}", names, failed=bool(names))


def locks(chain: Chain, *, dry_run: bool) -> ChoreResult:
    """Remove the files of locks and leases that no process holds."""
    files = [*sorted((chain.home / "locks").glob("*.lock")), *sorted((chain.home / "leases").glob("*.lease"))]
    removed = remove_unheld(files, dry_run=dry_run)
    return ChoreResult("locks", f"{len(removed)} {_removed(dry_run)}, {len(files) - len(removed)} are held")


def database(chain: Chain, *, dry_run: bool) -> ChoreResult:
    """Release the space of deleted runs in the local Prefect server's database, also while the server runs."""
    path = chain.home / "prefect" / "prefect.db"
    if not path.exists():
        return ChoreResult("database", "there is no database of a local Prefect server")
    before = path.stat().st_size
    with closing(sqlite3.connect(path, timeout=_DATABASE_SECONDS)) as connection:
        if dry_run:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (page,) = connection.execute("PRAGMA page_size").fetchone()
            return ChoreResult("database", f"{before / 1e6:.1f} MB, of which {free * page / 1e6:.1f} MB are free")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return ChoreResult("database", f"{before / 1e6:.1f} MB before, {path.stat().st_size / 1e6:.1f} MB after")


CHORES: Mapping[str, Callable[..., ChoreResult]] = {
    "garbage": garbage,
    "artifacts": artifacts,
    "unfinished-uploads": unfinished_uploads,
    "orphan-jobs": orphan_jobs,
    "locks": locks,
    "database": database,
}


def perform(name: str, chain: Chain, *, dry_run: bool) -> ChoreResult:
    """Do one chore; an error is a result, too, so that the other chores are still done."""
    try:
        return CHORES[name](chain, dry_run=dry_run)
    except (AtlasFlowError, OSError, sqlite3.Error) as error:
        return ChoreResult(name.replace("-", " "), f"failed: {error}", failed=True)


def _removed(dry_run: bool) -> str:
    return "would be removed" if dry_run else "removed"
