"""The engine: keys, receipts and locks around a stage. The one place that decides whether a stage runs."""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from infra.errors import Corrupt, Refused, UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.settings import Settings
from infra.store import proofs
from infra.store.artifacts import Artifact, ArtifactStore
from infra.store.digests import value_digest
from infra.store.disk import is_full
from infra.store.gc import LOCK as GARBAGE_LOCK
from infra.store.latest import show as show_latest
from infra.store.locks import hold
from infra.store.mirror import Mirror
from infra.store.receipts import Receipt, Receipts
from infra.world import World
from tasks.engine.diff import brief, differences
from tasks.engine.keys import emulated, ingredients, inputs, sources
from tasks.engine.stage import Reporter, Stage, StageContext, StageOutput

if TYPE_CHECKING:
    from infra.leases import Leases

State = Literal["fresh", "stale", "missing"]
OnRun = Callable[[], AbstractContextManager[object]]

MEDIA_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".png": "image/png",
    ".log": "text/plain",
}


@dataclass(frozen=True)
class StageState:
    """What is known of a stage without running it; without a `key`, an input is not there yet."""

    stage: str
    state: State
    reason: str
    key: str | None = None
    ingredients: Mapping[str, Any] | None = None
    receipt: Receipt | None = None


@dataclass(frozen=True)
class Result:
    """What became of a stage in a run."""

    receipt: Receipt
    reused: bool
    reason: str
    note: str
    seconds: float


class Chain:
    """The stages of one invocation, in order, with what is known of each."""

    def __init__(
        self,
        stages: Sequence[Stage],
        settings: Settings,
        home: Path,
        world: World,
        reporter: Reporter,
        faults: FaultPlan = NO_FAULTS,
        mirror: Mirror | None = None,
        leases: "Leases | None" = None,
        *,
        shows_latest: bool = True,
    ) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.settings = settings
        self.home = home
        self.world = world
        self.store = ArtifactStore(home, faults)
        self.receipts = Receipts(home, faults)
        self.known: dict[str, Receipt] = {}
        self._mirror = mirror
        self._leases = leases
        self.reporter = reporter
        self._faults = faults
        self._shows_latest = shows_latest

    def with_settings(self, stages: Sequence[Stage], settings: Settings) -> "Chain":
        """Another chain of the same home and world, under other settings; it leaves `latest/` as it is."""
        return Chain(
            stages,
            settings,
            self.home,
            self.world,
            self.reporter,
            self._faults,
            self._mirror,
            self._leases,
            shows_latest=False,
        )

    def look_at_all(self) -> list[StageState]:
        """Look at every stage, in order, from receipts alone: nothing is started."""
        looks = [self.look(stage) for stage in self.stages.values()]
        self.store.remember_checks()
        return looks

    def look(self, stage: Stage) -> StageState:
        """Decide from the receipts whether a stage is fresh.

        Raises:
            Corrupt: a receipt is damaged. Unknown is not a miss.
        """
        self.known.pop(stage.name, None)
        absent = [source for source in sources(stage, self.settings) if source not in self.known]
        latest = self.receipts.latest(stage.name)
        if absent:
            return StageState(stage.name, "missing" if latest is None else "stale", f"waits for {absent[0]}")
        found = ingredients(stage, self.settings, self.world, inputs(stage, self.settings, self.known, self.store))
        key = value_digest(found)
        receipt = self.receipts.load(stage.name, key)
        if receipt is None:
            if latest is None:
                return StageState(stage.name, "missing", "never ran", key, found)
            lines = differences(latest.ingredients, found)
            return StageState(stage.name, "stale", "; ".join(lines), key, found)
        try:
            for artifact in receipt.outputs.values():
                self.store.verify(artifact)
        except Corrupt as damage:
            return StageState(stage.name, "stale", damage.message, key, found)
        self.known[stage.name] = receipt
        return StageState(stage.name, "fresh", "nothing changed", key, found, receipt)

    def run(self, stage: Stage, *, force: bool = False, on_run: OnRun = nullcontext) -> Result:
        """Reuse what is there, or run the stage; two runs at once on one key: the second waits and reuses.

        Args:
            stage: what to run.
            force: run it even when it is fresh.
            on_run: entered while the stage works, and only then.

        Raises:
            UserError: an input is not there.
            Refused: the disk is full; nothing half-made is left.
        """
        try:
            return self._run(stage, force, on_run)
        except OSError as error:
            if not is_full(error):
                raise
            raise Refused(f"{stage.name}: the disk is full", hint=f"free some space below {self.home}") from error

    def _run(self, stage: Stage, force: bool, on_run: OnRun) -> Result:
        started = time.monotonic()
        look = self.look(stage)
        if look.key is None:
            raise UserError(
                f"{stage.name} needs what {look.reason.removeprefix('waits for ')} makes, and that is not there",
                hint="start earlier with --from, or run that stage first",
            )
        with ExitStack() as locks:
            waited = locks.enter_context(hold(self._lock(stage, look.key), lambda: self._say_waiting(stage)))
            if waited or self._fetch_from_mirror(stage, look):
                look = self.look(stage)
            reason = self._reason_to_run(stage, look, force)
            if reason is not None and self._lock_elsewhere(stage, look, locks):
                look = self.look(stage)
                reason = self._reason_to_run(stage, look, force)
            if reason is None:
                result = self._reuse(stage, look, started)
            else:
                with hold(self.home / "locks" / GARBAGE_LOCK, shared=True):
                    result = self._make(stage, look, reason, started, force, on_run)
            if self._mirror is not None:
                self._mirror.send(result.receipt, self.receipts, self.store)
        self.known[stage.name] = result.receipt
        if self._shows_latest:
            show_latest(self.home, self.store, result.receipt)
        self.store.remember_checks()
        return result

    def recall(self, stage: Stage) -> StageState:
        """Look at a stage that is not to run, and bring its results from the mirror when another machine made them."""
        look = self.look(stage)
        if self._mirror is not None and look.key is not None and look.receipt is None:
            with hold(self._lock(stage, look.key), lambda: self._say_waiting(stage)) as waited:
                if waited or self._fetch_from_mirror(stage, look):
                    look = self.look(stage)
        return look

    def _lock_elsewhere(self, stage: Stage, look: StageState, locks: ExitStack) -> bool:
        """Keep other machines from this key until `locks` ends; True when one of them has been at it meanwhile."""
        if self._leases is None or look.key is None:
            return False
        lock = self._leases.hold(f"atlasflow-{stage.name}-{look.key[:32]}", lambda: self._say_waiting(stage))
        waited = locks.enter_context(lock)
        return self._fetch_from_mirror(stage, look) or waited

    def adopt(self, keys: Mapping[str, str]) -> bool:
        """Take receipts for fresh that were judged so before, by stage and key; False when one is not there."""
        for name, key in keys.items():
            receipt = self.receipts.load(name, key)
            if receipt is None:
                return False
            self.known[name] = receipt
        return True

    def prove(self, stages: Iterable[Stage]) -> None:
        """Ask the world whether the effects among fresh stages hold, all at once; put right what does not."""
        effects = [stage for stage in stages if stage.kind == "effect"]
        with ThreadPoolExecutor(max(1, len(effects))) as pool:
            deviations = list(pool.map(self._ask, effects))
        for stage, deviation in zip(effects, deviations, strict=True):
            if deviation is None:
                proofs.note(self.home, stage.name, self.known[stage.name].key, time.time())
            else:
                self.run(stage)

    def _ask(self, stage: Stage) -> str | None:
        receipt = self.known[stage.name]
        with hold(self._lock(stage, receipt.key), lambda: self._say_waiting(stage)):
            return self._deviation(stage, receipt)

    def _fetch_from_mirror(self, stage: Stage, look: StageState) -> bool:
        if self._mirror is None or look.key is None or look.receipt is not None:
            return False
        fetched = self._mirror.fetch(stage.name, look.key, self.receipts, self.store)
        if fetched:
            self.reporter.line(stage.name, "another machine has done this; its results came from the mirror")
        return fetched

    def _lock(self, stage: Stage, key: str) -> Path:
        return self.home / "locks" / f"{stage.name}-{key}.lock"

    def _scratch(self, stage: Stage, key: str) -> Path:
        return self.home / "work" / f"{stage.name}-{key[:16]}"

    def _say_waiting(self, stage: Stage) -> None:
        self.reporter.line(stage.name, "another run is doing the same work; waiting for it")

    def _reason_to_run(self, stage: Stage, look: StageState, force: bool) -> str | None:
        """None when the receipt holds; an effect looks at the world before its receipt is believed."""
        if force:
            return "asked for with --force"
        if look.receipt is None:
            return look.reason
        return self._deviation(stage, look.receipt)

    def _deviation(self, stage: Stage, receipt: Receipt) -> str | None:
        """What in the world is not as the receipt of an effect says; None when all is, or for a pure stage."""
        if stage.prove is None:
            return None
        made = {name: self.store.files(artifact) for name, artifact in receipt.outputs.items()}
        context = self._work(stage, receipt.key)
        try:
            return stage.prove(context, made)
        finally:
            shutil.rmtree(context.folder, ignore_errors=True)

    def _reuse(self, stage: Stage, look: StageState, started: float) -> Result:
        assert look.receipt is not None  # noqa: S101 - without one there is a reason to run
        if stage.kind == "effect":
            proofs.note(self.home, stage.name, look.receipt.key, time.time())
        # A run that was killed between its receipt and its end has left it.
        shutil.rmtree(self._scratch(stage, look.receipt.key), ignore_errors=True)
        note = "proved" if stage.kind == "effect" else ""
        return Result(look.receipt, True, look.reason, note, time.monotonic() - started)

    def _make(self, stage: Stage, look: StageState, reason: str, started: float, forced: bool, on_run: OnRun) -> Result:
        assert look.key is not None  # noqa: S101 - `run` has refused this case
        assert look.ingredients is not None  # noqa: S101
        self.reporter.line(stage.name, f"starts: {brief(reason)}")
        begun = time.time()
        context = replace(self._work(stage, look.key), forced=forced)
        if not stage.resumes:
            shutil.rmtree(context.folder, ignore_errors=True)
        context.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._faults.reach(f"stage.{stage.name}.start")
            with on_run():
                made = stage.run(context)
            self._faults.reach(f"stage.{stage.name}.made")
            receipt = Receipt(
                stage.name,
                look.key,
                look.ingredients,
                self._keep(made),
                tools={name: version(name) for name in stage.tools},
                emulated=emulated(look.ingredients),
                started=begun,
                seconds=time.time() - begun,
            )
            self.receipts.save(receipt)
        except BaseException:
            if not stage.resumes:
                shutil.rmtree(context.folder, ignore_errors=True)
            raise
        if stage.kind == "effect":
            proofs.note(self.home, stage.name, look.key, time.time())
        shutil.rmtree(context.folder)
        self._faults.reach(f"stage.{stage.name}.done")
        return Result(receipt, False, reason, made.note, time.monotonic() - started)

    def _keep(self, made: StageOutput) -> dict[str, Artifact]:
        kept = {}
        for name, path in made.outputs.items():
            if path.is_dir():
                kept[name] = self.store.put_tree(path.name, path)
            else:
                media_type = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
                kept[name] = self.store.put_file(path.name, path, media_type)
        return kept

    def _work(self, stage: Stage, key: str) -> StageContext:
        found = inputs(stage, self.settings, self.known, self.store)
        folder = self._scratch(stage, key)
        return StageContext(
            self.settings, self.world, key, found.artifacts, found.files, folder, found.emulated, self.reporter
        )
