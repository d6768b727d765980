"""Garbage: whatever no living receipt reaches. The caller says which receipts live; `dry_run` first."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.store import proofs
from infra.store.artifacts import ArtifactStore
from infra.store.locks import hold
from infra.store.receipts import Receipt, Receipts
from infra.store.runs import Runs

# Stages hold it shared while they make something, so that nothing new is taken for garbage.
LOCK = "store"
KEPT_ON_BOARDS = 2  # the release in service, and the one to roll back to


@dataclass(frozen=True)
class Garbage:
    """What was, or would be, removed."""

    receipts: tuple[str, ...]
    objects: tuple[str, ...]
    bytes: int


def living(receipts: Receipts, runs: Runs, keep_runs: int) -> set[str]:
    """Keys of the receipts to keep: those of the last runs, those that boards hold, and all that they came from.

    A board is believed to hold what was deployed last and before that, as far as the receipts tell.
    """
    everything = list(receipts.all())
    wanted = {item.key for run in runs.latest(keep_runs) for item in run.stages}
    deployed = sorted((item for item in everything if item.stage == "deploy"), key=lambda item: item.finished)
    wanted |= {item.key for item in deployed[-KEPT_ON_BOARDS:]}
    makers: dict[str, list[Receipt]] = {}
    for item in everything:
        for artifact in item.outputs.values():
            makers.setdefault(artifact.sha256, []).append(item)
    kept: set[str] = set()
    waiting = [item for item in everything if item.key in wanted]
    while waiting:
        item = waiting.pop()
        if item.key in kept:
            continue
        kept.add(item.key)
        for digest in item.ingredients["inputs"].values():
            waiting.extend(makers.get(digest, []))
    return kept


def collect(home: Path, receipts: Receipts, kept: Iterable[str], *, dry_run: bool) -> Garbage:
    """Remove the receipts that are not in `kept`, and then every object that no receipt reaches."""
    keys = set(kept)
    store = ArtifactStore(home)
    with hold(home / "locks" / LOCK):
        everything = list(receipts.all())
        dead = [item for item in everything if item.key not in keys]
        used = {path for item in everything if item.key in keys for path in _paths(store, item)}
        unused = [
            path
            for room in ("objects", "trees")
            for path in (home / room).rglob("*")
            if path.is_file() and path not in used
        ]
        size = sum(path.stat().st_size for path in unused)
        if not dry_run:
            for item in dead:
                receipts.path(item.stage, item.key).unlink()
            for path in unused:
                path.unlink()
            _remove_old_scratch(home, keys)
            proofs.forget(home, keys)
    return Garbage(tuple(item.key for item in dead), tuple(path.name for path in unused), size)


def _paths(store: ArtifactStore, receipt: Receipt) -> Iterable[Path]:
    for artifact in receipt.outputs.values():
        if artifact.kind == "tree":
            manifest = store.tree_path(artifact.sha256)
            yield manifest
            if not manifest.exists():
                continue
        yield from (file.path for file in store.files(artifact).values())


def _remove_old_scratch(home: Path, keys: set[str]) -> None:
    """Scratch folders of stages that were finished by another run meanwhile; unfinished ones may still resume."""
    finished = {key[:16] for key in keys}
    for folder in (home / "work").glob("*"):
        if folder.name.rpartition("-")[2] in finished:
            shutil.rmtree(folder)
