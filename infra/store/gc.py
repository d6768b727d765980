"""Garbage: whatever no living receipt reaches. The caller says which receipts live; `dry_run` first."""

import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infra.errors import Refused
from infra.store import proofs
from infra.store.artifacts import Artifact, ArtifactStore, Kind
from infra.store.digests import file_digest
from infra.store.locks import hold
from infra.store.receipts import Receipt, Receipts, parse
from infra.store.runs import Runs

# Runs hold it shared from their first stage to their last, so that nothing they rest on is taken for garbage.
LOCK = "store"
ASIDE = "aside"
"""In the home: receipts as they were before an upgrade, by schema, stage and key."""
HALF_WRITTEN_SECONDS = 3600
SCRATCH_SECONDS = 14 * 24 * 3600  # what nobody went on with for so long, nobody will
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_KINDS: tuple[Kind, ...] = ("file", "tree")
KEPT_ON_BOARDS = 2  # the release in service, and the one to roll back to


@dataclass(frozen=True)
class Garbage:
    """What was, or would be, removed; `kept` counts the receipts that stay."""

    receipts: tuple[str, ...]
    objects: tuple[str, ...]
    bytes: int
    kept: int


def living(receipts: Receipts, runs: Runs, keep_runs: int, champions: Collection[str] = ()) -> set[str]:
    """Keys of the receipts to keep: of the last runs, of champions, on boards, and of all that these came from.

    Each board is believed to hold what was deployed to it last and before that, as far as the receipts tell.

    Args:
        receipts: of the home.
        runs: of the home.
        keep_runs: how many of the last runs count.
        champions: keys of the receipts of the champion and its predecessor.
    """
    everything = list(receipts.all())
    wanted = {item.key for run in runs.latest(keep_runs) for item in run.stages}
    wanted.update(champions)
    wanted |= _on_boards(item for item in everything if item.stage == "deploy")
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


def _on_boards(deployed: Iterable[Receipt]) -> set[str]:
    by_board: dict[str, list[str]] = {}
    for item in sorted(deployed, key=lambda item: item.finished):
        for board in item.ingredients["settings"]["boards"]:
            by_board.setdefault(board, []).append(item.key)
    return {key for keys in by_board.values() for key in keys[-KEPT_ON_BOARDS:]}


def collect(
    home: Path,
    receipts: Receipts,
    alive: Callable[[], set[str]],
    *,
    dry_run: bool,
    waiting: Callable[[], None] | None = None,
) -> Garbage:
    """Remove the receipts that are not alive, and then every object that no receipt reaches.

    Args:
        home: AtlasFlow's home.
        receipts: of that home.
        alive: tells the keys to keep; asked once no run is under way, since a run adds to them.
        dry_run: only say what would be removed.
        waiting: called once when a run is under way, whose end is waited for.
    """
    store = ArtifactStore(home)
    with hold(home / "locks" / LOCK, waiting):
        keys = alive()
        everything = list(receipts.all())
        dead = [item for item in everything if item.key not in keys]
        used = {path for item in everything if item.key in keys for path in _paths(store, item)}
        used |= set(_paths_aside(home, store))
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
            _remove_half_written(home)
            proofs.forget(home, keys)
    return Garbage(
        tuple(item.key for item in dead), tuple(path.name for path in unused), size, len(everything) - len(dead)
    )


def _paths(store: ArtifactStore, receipt: Receipt) -> Iterable[Path]:
    for artifact in receipt.outputs.values():
        yield from _paths_of(store, artifact)


def _paths_of(store: ArtifactStore, artifact: Artifact) -> Iterable[Path]:
    if artifact.kind == "tree":
        manifest = store.tree_path(artifact.sha256)
        yield manifest
        if not manifest.exists() or file_digest(manifest) != artifact.sha256:
            return  # it names nothing any more; its stage will run again
    yield from (file.path for file in store.files(artifact).values())


def _paths_aside(home: Path, store: ArtifactStore) -> Iterable[Path]:
    """What receipts name that could not be upgraded: a newer step may read them, and their bytes may have been paid.

    What else they say is not known, but an artifact is a SHA-256 in any schema.
    """
    for path in (home / ASIDE).rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        try:
            parse(text, path)
        except Refused:
            for digest in set(_DIGEST.findall(text)):
                for kind in _KINDS:
                    yield from _paths_of(store, Artifact("", digest, 0, kind, ""))


def _remove_half_written(home: Path) -> None:
    """Temporary files of killed processes; a living one is done with its own long before the hour is over."""
    for pattern in (".*.tmp", "*/.*.tmp", "receipts/*/.*.tmp", "tuning/*/.*.tmp", "notify/*/.*.tmp"):
        for path in home.glob(pattern):
            with suppress(FileNotFoundError):  # whoever wrote it is done meanwhile
                if path.stat().st_mtime < time.time() - HALF_WRITTEN_SECONDS:
                    path.unlink()


def _remove_old_scratch(home: Path, keys: set[str]) -> None:
    """Scratch folders of stages that were finished by another run meanwhile, and of those that nobody went on with.

    A training that was killed may resume, and so may a trial that was stopped for falling behind.
    """
    finished = {key[:16] for key in keys}
    oldest = time.time() - SCRATCH_SECONDS
    for folder in (home / "work").glob("*"):
        touched = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
        if folder.name.rpartition("-")[2] in finished or touched < oldest:
            shutil.rmtree(folder)
