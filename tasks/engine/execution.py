"""One stage under one key: its lock and scratch folder, its execution, and the receipt that follows."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from infra.store import proofs
from infra.store.receipts import Receipt
from tasks.engine.diff import Cause, Reason
from tasks.engine.keys import emulated, inputs
from tasks.engine.stage import StageContext, StageOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from infra.faults import FaultPlan
    from infra.store.artifacts import Artifact
    from tasks.engine.chain import Chain
    from tasks.engine.stage import Stage

MEDIA_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".png": "image/png",
    ".log": "text/plain",
}


@dataclass(frozen=True)
class Result:
    """The outcome of a stage in a run.

    Attributes:
        receipt: of the stage's key.
        reused: True when the stage did not run.
        reason: why it ran or did not.
        note: what the stage says of its output.
        seconds: wall time.
    """

    receipt: Receipt
    reused: bool
    reason: Reason
    note: str
    seconds: float


class Executor:
    """A stage of a chain under one key.

    Attributes:
        lock: file whose lock serialises runs with this key on this machine.
    """

    def __init__(self, chain: Chain, stage: Stage, key: str, faults: FaultPlan) -> None:
        self._chain = chain
        self._stage = stage
        self._key = key
        self._faults = faults
        self._scratch: Path = chain.home / "work" / f"{stage.name}-{key[:16]}"
        self.lock: Path = chain.home / "locks" / f"{stage.name}-{key}.lock"

    def context(self, *, forced: bool = False) -> StageContext:
        """What the stage is given. Its scratch folder is not made yet."""
        chain = self._chain
        found = inputs(self._stage, chain.settings, chain.known, chain.store)
        arguments = (self._key, found.artifacts, found.files, self._scratch, found.emulated, chain.reporter)
        return StageContext(chain.settings, chain.world, *arguments, forced=forced)

    def deviation(self, receipt: Receipt) -> str | None:
        """Ask the world how it differs from the receipt of an effect; None when it matches, or for a pure stage."""
        if self._stage.prove is None:
            return None
        made = {name: self._chain.store.files(artifact) for name, artifact in receipt.outputs.items()}
        try:
            return self._stage.prove(self.context(), made)
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def reuse(self, receipt: Receipt, reason: Reason, started: float) -> Result:
        """Use a receipt that holds."""
        self._note_proof()
        # A run that was killed between its receipt and its end has left its scratch folder.
        shutil.rmtree(self._scratch, ignore_errors=True)
        note = "proved" if self._stage.kind == "effect" else ""
        return Result(receipt, True, reason, note, time.monotonic() - started)

    def execute(
        self,
        ingredients: Mapping[str, Any],
        reason: Reason,
        started: float,
        on_run: Callable[[], AbstractContextManager[object]],
    ) -> Result:
        """Run the stage and write its receipt; a failure leaves neither receipt nor, unless it resumes, scratch."""
        stage, chain = self._stage, self._chain
        chain.reporter.line(stage.name, f"starts: {reason.brief()}")
        begun = time.time()
        context = self.context(forced=reason.cause is Cause.FORCED)
        if not stage.resumes:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True, exist_ok=True)
        try:
            self._faults.reach(f"stage.{stage.name}.start")
            with on_run():
                output = stage.run(context)
            self._faults.reach(f"stage.{stage.name}.made")
            receipt = Receipt(
                stage.name,
                self._key,
                ingredients,
                self._keep(output),
                tools={name: version(name) for name in stage.tools},
                emulated=emulated(ingredients),
                started=begun,
            )
            receipt = replace(receipt, seconds=time.time() - begun)
            chain.receipts.save(receipt)
        except BaseException:
            if not stage.resumes:
                shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        self._note_proof()
        shutil.rmtree(self._scratch)
        self._faults.reach(f"stage.{stage.name}.done")
        return Result(receipt, False, reason, output.note, time.monotonic() - started)

    def _note_proof(self) -> None:
        if self._stage.kind == "effect":
            proofs.note(self._chain.home, self._stage.name, self._key, time.time())

    def _keep(self, output: StageOutput) -> dict[str, Artifact]:
        kept = {}
        for name, path in output.outputs.items():
            if path.is_dir():
                kept[name] = self._chain.store.put_tree(path.name, path)
            else:
                media_type = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
                kept[name] = self._chain.store.put_file(path.name, path, media_type)
        return kept
