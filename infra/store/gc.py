"""Garbage collection: remove what no retained receipt reaches.

The wall clock alone never decides: it may have been set back or forward since something was written.
"""

import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infra.errors import Refused
from infra.store import proofs
from infra.store.artifacts import Artifact, ArtifactStore, Kind
from infra.store.atomic import is_being_written
from infra.store.digests import file_digest
from infra.store.locks import hold
from infra.store.receipts import Receipt, Receipts, parse
from infra.store.runs import RunRecord, Runs

LOCK = "store"
"""Runs hold it shared from their first stage to their last, so that what they rely on is not collected."""
ASIDE = "aside"
"""In the home: receipts as they were before an upgrade, by schema, stage and key."""
TEMPORARY_FILE_SECONDS = 3600
SCRATCH_SECONDS = 14 * 24 * 3600
KEPT_ON_BOARDS = 2  # the release in service, and the one to roll back to
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_KINDS: tuple[Kind, ...] = ("file", "tree")


@dataclass(frozen=True)
class Garbage:
    """What was removed, or would be: keys of receipts, names of objects and their bytes; `kept` counts receipts."""

    receipts: tuple[str, ...]
    objects: tuple[str, ...]
    bytes: int
    kept: int


@dataclass(frozen=True)
class Retained:
    """What a collection keeps.

    Attributes:
        keys: of the receipts.
        since: last write of the oldest run that counts, in seconds since 1970; scratch files that were written later
            stay, and all scratch files when no run counts (None).
    """

    keys: frozenset[str]
    since: float | None


def retained(receipts: Receipts, runs: Runs, keep_runs: int, champions: Collection[str] = ()) -> Retained:
    """Find the receipts of the last runs, of champions and on boards, and all receipts that made their inputs.

    A board holds what was deployed to it last and before that, as far as receipts and runs tell.

    Args:
        receipts: of the home.
        runs: of the home.
        keep_runs: how many of the last runs count.
        champions: keys of the receipts of the champion and its predecessor.
    """
    everything = list(receipts.all())
    history = runs.latest()
    recent = history[:keep_runs]
    roots = {item.key for run in recent for item in run.stages} | set(champions)
    roots |= _on_boards([item for item in everything if item.stage == "deploy"], history)
    makers: dict[str, list[Receipt]] = {}
    for item in everything:
        for artifact in item.outputs.values():
            makers.setdefault(artifact.sha256, []).append(item)
    keys: set[str] = set()
    pending = [item for item in everything if item.key in roots]
    while pending:
        item = pending.pop()
        if item.key in keys:
            continue
        keys.add(item.key)
        for digest in item.ingredients["inputs"].values():
            pending.extend(makers.get(digest, []))
    return Retained(frozenset(keys), min((runs.last_write(run) for run in recent), default=None))


def _on_boards(deployed: Sequence[Receipt], history: Sequence[RunRecord]) -> set[str]:
    """Keys of the last deployments to each board, both by the receipts' times and by the order of the runs."""
    last_run = {item.key: number for number, run in enumerate(reversed(history)) for item in run.stages}
    found: set[str] = set()
    for ordered in (
        sorted(deployed, key=lambda item: item.finished),
        sorted(deployed, key=lambda item: last_run.get(item.key, -1)),
    ):
        by_board: dict[str, list[str]] = {}
        for item in ordered:
            for board in item.ingredients["settings"]["boards"]:
                by_board.setdefault(board, []).append(item.key)
        found.update(key for keys in by_board.values() for key in keys[-KEPT_ON_BOARDS:])
    return found


def collect(
    home: Path,
    receipts: Receipts,
    retain: Callable[[], Retained],
    *,
    dry_run: bool,
    on_wait: Callable[[], None] | None = None,
) -> Garbage:
    """Remove the receipts that are not retained, and then every object that no receipt reaches.

    Args:
        home: AtlasFlow's home.
        receipts: of that home.
        retain: finds what to keep; called when no run is in progress, since a run adds to it.
        dry_run: only say what would be removed.
        on_wait: called once when a run is in progress and the collection waits for its end.
    """
    store = ArtifactStore(home)
    with hold(home / "locks" / LOCK, on_wait):
        keep = retain()
        everything = list(receipts.all())
        dead = [item for item in everything if item.key not in keep.keys]
        used = {path for item in everything if item.key in keep.keys for path in _paths(store, item)}
        used |= set(paths_aside(home, store))
        unused = [
            path
            for folder in ("objects", "trees")
            for path in (home / folder).rglob("*")
            if path.is_file() and path not in used
        ]
        size = sum(path.stat().st_size for path in unused)
        if not dry_run:
            for item in dead:
                receipts.path(item.stage, item.key).unlink()
            for path in unused:
                path.unlink()
            _remove_old_scratch(home, keep)
            _remove_temporary_files(home)
            proofs.forget(home, set(keep.keys))
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
            return  # a damaged manifest keeps nothing; its stage runs again
    yield from (file.path for file in store.files(artifact).values())


def paths_aside(home: Path, store: ArtifactStore) -> Iterable[Path]:
    """Find the artifacts of receipts that could not be upgraded: a later version may read them, and they may be paid.

    The rest of such a receipt is unknown, but an artifact is a SHA-256 in any schema. A path need not exist.

    Raises:
        Corrupt: such a receipt is damaged.
    """
    for path in sorted((home / ASIDE).rglob("*.json")):
        text = path.read_bytes()
        try:
            parse(text, path)
        except Refused:
            for digest in set(_DIGEST.findall(text.decode())):
                for kind in _KINDS:
                    yield from _paths_of(store, Artifact("", digest, 0, kind, ""))


def _remove_temporary_files(home: Path) -> None:
    """Remove temporary files of killed processes."""
    for pattern in (".*.tmp", "*/.*.tmp", "receipts/*/.*.tmp", "tuning/*/.*.tmp", "notify/*/.*.tmp"):
        remove_temporary(home.glob(pattern))


def remove_temporary(paths: Iterable[Path]) -> None:
    """Remove those of some temporary files that are old and that no process of this machine writes."""
    for path in paths:
        with suppress(FileNotFoundError):  # its process has just finished it
            if path.stat().st_mtime < time.time() - TEMPORARY_FILE_SECONDS and not is_being_written(path):
                path.unlink()


def _remove_old_scratch(home: Path, keep: Retained) -> None:
    """Remove the scratch folders of stages that another run has finished, and of those that were abandoned.

    A training that was killed may resume, and so may a trial that pruning stopped.
    """
    finished = {key[:16] for key in keep.keys}
    oldest = min(time.time() - SCRATCH_SECONDS, keep.since or 0.0)
    for folder in (home / "work").glob("*"):
        touched = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
        if folder.name.rpartition("-")[2] in finished or touched < oldest:
            shutil.rmtree(folder)
