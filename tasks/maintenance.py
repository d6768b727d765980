"""Chores that keep a long-used installation healthy and cheap. A dry run only says what it finds."""

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

# An upload that still moves touches its parts far more often; OBS itself never ends one.
UNFINISHED_AGE = timedelta(days=1)
_DATABASE_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """What became of one chore.

    Attributes:
        chore: its name.
        found: one sentence.
        items: the names of what was found, such as jobs.
        failed: True when it could not be done, or found what a person must look at.
    """

    chore: str
    found: str
    items: tuple[str, ...] = ()
    failed: bool = False


def collect_garbage(chain: Chain, *, dry_run: bool, on_wait: Callable[[], None] | None = None) -> Garbage:
    """Remove what no recent run, no champion and no board needs; see `infra.store.gc.collect`."""

    def retain() -> Retained:
        champions = registry_of(chain).read().kept_keys()
        return retained(chain.receipts, Runs(chain.home), chain.settings.store.keep_runs, champions)

    return collect(chain.home, chain.receipts, retain, dry_run=dry_run, on_wait=on_wait)


def garbage(chain: Chain, *, dry_run: bool) -> Outcome:
    """Remove what no recent run, no champion and no board needs."""
    found = collect_garbage(chain, dry_run=dry_run)
    word = "would be removed" if dry_run else "removed"
    text = f"{len(found.receipts)} receipts and {len(found.objects)} objects {word}, {found.bytes / 1e6:.1f} MB"
    return Outcome("garbage", text, found.receipts)


def artifacts(chain: Chain, *, dry_run: bool) -> Outcome:  # noqa: ARG001 - looking changes nothing
    """Read every artifact of every receipt and compare it with its digest."""
    checked, damaged = examine(chain, deep=True)
    names = tuple(f"{item['stage']} {item['output']}: {item['problem']}" for item in damaged)
    return Outcome(
        "artifacts", f"{checked} artifacts read, {len(damaged)} damaged or missing", names, failed=bool(damaged)
    )


def examine(chain: Chain, *, deep: bool) -> tuple[int, list[dict[str, str]]]:
    """Check every artifact of every receipt against its digest.

    Args:
        chain: whose store is looked at.
        deep: read every byte instead of trusting unchanged file marks.

    Returns:
        How many there are, and `stage`, `output` and `problem` of each that is damaged or missing.
    """
    checked, damaged = 0, []
    for receipt in chain.receipts.all():
        for name, artifact in receipt.outputs.items():
            checked += 1
            try:
                chain.store.verify(artifact, deep=deep)
            except Corrupt as damage:
                damaged.append({"stage": receipt.stage, "output": name, "problem": damage.message})
    chain.store.remember_checks()
    return checked, damaged


def unfinished_uploads(chain: Chain, *, dry_run: bool) -> Outcome:
    """Abort uploads to object storage that nobody has gone on with for a day: their parts cost money unseen."""
    store: BucketMaintenance = chain.world.object_store()
    prefix = chain.settings.obs.prefix
    if dry_run:
        keys = store.unfinished(prefix)
        return Outcome("unfinished uploads", f"{len(keys)} found, of any age", tuple(keys))
    keys = store.abort_unfinished(prefix, UNFINISHED_AGE)
    return Outcome("unfinished uploads", f"{len(keys)} aborted", tuple(keys))


def orphan_jobs(chain: Chain, *, dry_run: bool) -> Outcome:  # noqa: ARG001 - looking changes nothing
    """Find training jobs of ours that cost money while nobody here waits for them.

    They are not stopped: another machine may wait for them.
    """
    if chain.settings.train.target != "modelarts":
        return Outcome("orphan jobs", "this profile does not train on ModelArts")
    from infra.modelarts.trainer import ModelArtsTrainer

    trainer = chain.world.trainer()
    names = tuple(job.name for job in trainer.orphans()) if isinstance(trainer, ModelArtsTrainer) else ()
    hint = "; `atlasflow jobs orphans --stop` ends them" if names else ""
    return Outcome("orphan jobs", f"{len(names)} found{hint}", names, failed=bool(names))


def locks(chain: Chain, *, dry_run: bool) -> Outcome:
    """Remove the lock files of keys, and the notes of leases, whose holder is gone; those that are held stay."""
    left = [*sorted((chain.home / "locks").glob("*.lock")), *sorted((chain.home / "leases").glob("*.lease"))]
    removed = remove_unheld(left, dry_run=dry_run)
    word = "would be removed" if dry_run else "removed"
    return Outcome("locks", f"{len(removed)} {word}, {len(left) - len(removed)} are held")


def database(chain: Chain, *, dry_run: bool) -> Outcome:
    """Give the space of deleted runs in the Prefect server's own database back; a running server is no hindrance."""
    path = chain.home / "prefect" / "prefect.db"
    if not path.exists():
        return Outcome("database", "there is no database of a local Prefect server")
    before = path.stat().st_size
    with closing(sqlite3.connect(path, timeout=_DATABASE_SECONDS)) as connection:
        if dry_run:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (page,) = connection.execute("PRAGMA page_size").fetchone()
            return Outcome("database", f"{before / 1e6:.1f} MB, of which {free * page / 1e6:.1f} MB are free")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Outcome("database", f"{before / 1e6:.1f} MB before, {path.stat().st_size / 1e6:.1f} MB after")


CHORES: Mapping[str, Callable[..., Outcome]] = {
    "garbage": garbage,
    "artifacts": artifacts,
    "unfinished-uploads": unfinished_uploads,
    "orphan-jobs": orphan_jobs,
    "locks": locks,
    "database": database,
}


def perform(name: str, chain: Chain, *, dry_run: bool) -> Outcome:
    """Do one chore; what it could not do is an outcome too, so that the others are done all the same."""
    try:
        return CHORES[name](chain, dry_run=dry_run)
    except (AtlasFlowError, OSError, sqlite3.Error) as error:
        return Outcome(name.replace("-", " "), f"could not be done: {error}", failed=True)
