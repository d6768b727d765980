"""The engine: keys, receipts and locks around a stage. The one place that decides whether a stage runs."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import Corrupt, Refused, UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.settings import Settings
from infra.store import latest, proofs
from infra.store.artifacts import ArtifactStore
from infra.store.digests import value_digest
from infra.store.disk import is_full
from infra.store.gc import LOCK as GC_LOCK
from infra.store.locks import hold
from infra.store.mirror import Mirror
from infra.store.receipts import Receipt, Receipts
from infra.world import World
from tasks.engine.diff import Cause, Reason, differences, nearest
from tasks.engine.execution import Executor, Result
from tasks.engine.keys import ingredients, inputs, sources
from tasks.engine.stage import Reporter, Stage
from tasks.engine.state import StageState, State

if TYPE_CHECKING:
    from infra.leases import Leases

OnRun = Callable[[], AbstractContextManager[object]]


class Chain:
    """The stages of one invocation, in order, and what is known of each.

    Attributes:
        stages: by name.
        settings: of this invocation.
        home: the folder with the state of this installation.
        world: the ports.
        store: artifacts by digest.
        receipts: of this home.
        known: the receipts of the stages that are fresh or have run, by stage.
        reporter: receives lines and progress; replaced while a stage runs as a Prefect task.
    """

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
        updates_latest: bool = True,
    ) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.settings = settings
        self.home = home
        self.world = world
        self.store = ArtifactStore(home, faults)
        self.receipts = Receipts(home, faults)
        self.known: dict[str, Receipt] = {}
        self.reporter = reporter
        self._mirror = mirror
        self._leases = leases
        self._faults = faults
        self._updates_latest = updates_latest

    def with_settings(self, stages: Sequence[Stage], settings: Settings) -> "Chain":
        """Another chain of the same home and world, under other settings; it leaves `latest/` unchanged."""
        arguments = (self.home, self.world, self.reporter, self._faults, self._mirror, self._leases)
        return Chain(stages, settings, *arguments, updates_latest=False)

    def look_at_all(self) -> list[StageState]:
        """Look at every stage, in order, from receipts alone; nothing is started."""
        states = [self.look(stage) for stage in self.stages.values()]
        self.store.remember_checks()
        return states

    def look(self, stage: Stage) -> StageState:
        """Decide from the receipts whether a stage is fresh.

        A hit reads one receipt. An effect is fresh when this home's records of the world match it, too.

        Raises:
            Corrupt: a receipt is damaged. Unknown is not a miss.
        """
        self.known.pop(stage.name, None)
        absent = next((source for source in sources(stage, self.settings) if source not in self.known), None)
        if absent is not None:
            state: State = "stale" if self.receipts.exist(stage.name) else "missing"
            return StageState(stage.name, state, Reason(Cause.INPUT_MISSING, detail=absent))
        found = ingredients(stage, self.settings, self.world, inputs(stage, self.settings, self.known, self.store))
        key = value_digest(found)
        receipt = self.receipts.load(stage.name, key)
        if receipt is None:
            return self._miss(stage, key, found)
        try:
            for artifact in receipt.outputs.values():
                self.store.verify(artifact)
        except Corrupt as damage:
            return StageState(stage.name, "stale", Reason(Cause.OUTPUT_DAMAGED, detail=damage.message), key, found)
        deviation = None if stage.recorded is None else stage.recorded(self._executor(stage, key).context())
        if deviation is not None:
            return StageState(stage.name, "stale", Reason(Cause.RECORD_DIFFERS, detail=deviation), key, found)
        self.known[stage.name] = receipt
        return StageState(stage.name, "fresh", Reason(Cause.UNCHANGED), key, found, receipt)

    def _miss(self, stage: Stage, key: str, found: Mapping[str, Any]) -> StageState:
        before = nearest(self.receipts.all(stage.name), found)
        if before is None:
            return StageState(stage.name, "missing", Reason(Cause.NEVER_RAN), key, found)
        reason = Reason(Cause.INGREDIENTS_CHANGED, differences(before.ingredients, found))
        return StageState(stage.name, "stale", reason, key, found)

    def run(self, stage: Stage, *, force: bool = False, on_run: OnRun = nullcontext) -> Result:
        """Reuse the receipt of a stage, or run the stage. Of two runs with one key, the second waits and reuses.

        Args:
            stage: what to run.
            force: run it even when it is fresh.
            on_run: a context that is entered only while the stage runs.

        Raises:
            UserError: an input is missing.
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
        state = self.look(stage)
        if state.key is None:
            raise UserError(
                f"{stage.name} needs the output of {state.reason.detail}, which is missing",
                hint="start earlier with --from, or run that stage first",
            )
        executor = self._executor(stage, state.key)
        with ExitStack() as locks:
            waited = locks.enter_context(hold(executor.lock, lambda: self._report_waiting(stage)))
            if waited or self._fetch_from_mirror(stage, state):
                state = self.look(stage)
            reason = self._reason_to_run(executor, state, force)
            if reason is not None and self._lock_elsewhere(stage, state, locks):
                state = self.look(stage)
                reason = self._reason_to_run(executor, state, force)
            if reason is None and state.receipt is not None:
                result = executor.reuse(state.receipt, state.reason, started)
            else:
                with hold(self.home / "locks" / GC_LOCK, shared=True):
                    result = executor.execute(state.ingredients or {}, reason or state.reason, started, on_run)
            if self._mirror is not None:
                self._mirror.send(result.receipt, self.receipts, self.store)
        self.known[stage.name] = result.receipt
        self.update_latest([stage.name])
        self.store.remember_checks()
        return result

    def recall(self, stage: Stage) -> StageState:
        """Look at a stage that is not to run, and fetch its outputs from the mirror when another machine made them."""
        state = self.look(stage)
        if self._mirror is not None and state.key is not None and state.receipt is None:
            lock = self._executor(stage, state.key).lock
            with hold(lock, lambda: self._report_waiting(stage)) as waited:
                if waited or self._fetch_from_mirror(stage, state):
                    state = self.look(stage)
        return state

    def adopt(self, keys: Mapping[str, str]) -> bool:
        """Take receipts that an earlier run judged fresh, by stage and key; False when one is missing."""
        for name, key in keys.items():
            receipt = self.receipts.load(name, key)
            if receipt is None:
                return False
            self.known[name] = receipt
        return True

    def prove(self, stages: Iterable[Stage]) -> dict[str, Reason]:
        """Ask the world whether the effects among fresh stages still hold, and repeat those that do not.

        Returns:
            The stages that were repeated, and why.
        """
        effects = [stage for stage in stages if stage.kind == "effect"]
        with ThreadPoolExecutor(max(1, len(effects))) as pool:
            deviations = list(pool.map(self._ask, effects))
        repeated = {}
        for stage, deviation in zip(effects, deviations, strict=True):
            if deviation is None:
                proofs.note(self.home, stage.name, self.known[stage.name].key, time.time())
            else:
                repeated[stage.name] = Reason(Cause.WORLD_DIFFERS, detail=deviation)
                self.run(stage)
        return repeated

    def update_latest(self, names: Iterable[str]) -> None:
        """Let `latest/` show the outputs of these known stages."""
        for name in names if self._updates_latest else ():
            if not latest.shows(self.home, self.store, self.known[name]):
                latest.show(self.home, self.store, self.known[name])

    def _executor(self, stage: Stage, key: str) -> Executor:
        return Executor(self, stage, key, self._faults)

    def _ask(self, stage: Stage) -> str | None:
        executor = self._executor(stage, self.known[stage.name].key)
        with hold(executor.lock, lambda: self._report_waiting(stage)):
            return executor.deviation(self.known[stage.name])

    def _lock_elsewhere(self, stage: Stage, state: StageState, locks: ExitStack) -> bool:
        """Keep other machines from this key until `locks` ends; True when one of them may have made it meanwhile."""
        if self._leases is None or state.key is None:
            return False
        lock = self._leases.hold(f"atlasflow-{stage.name}-{state.key[:32]}", lambda: self._report_waiting(stage))
        waited = locks.enter_context(lock)
        return self._fetch_from_mirror(stage, state) or waited

    def _fetch_from_mirror(self, stage: Stage, state: StageState) -> bool:
        if self._mirror is None or state.key is None or state.receipt is not None:
            return False
        fetched = self._mirror.fetch(stage.name, state.key, self.receipts, self.store)
        if fetched:
            self.reporter.line(stage.name, "another machine ran this stage; its outputs came from the mirror")
        return fetched

    def _report_waiting(self, stage: Stage) -> None:
        self.reporter.line(stage.name, "another run is working on the same key; waiting for it")

    def _reason_to_run(self, executor: Executor, state: StageState, force: bool) -> Reason | None:
        """None when the receipt holds; an effect asks the world first."""
        if force:
            return Reason(Cause.FORCED)
        if state.receipt is None:
            return state.reason
        deviation = executor.deviation(state.receipt)
        return None if deviation is None else Reason(Cause.WORLD_DIFFERS, detail=deviation)
