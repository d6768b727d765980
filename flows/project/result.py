"""What a run did and made, as values; a notebook shows it as a page."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import UserError
from tasks.reports.inputs import deployment_of, metrics_of, published_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.store.artifacts import Artifact
    from infra.store.receipts import Receipt
    from infra.store.runs import RunRecord, StageRecord
    from tasks.engine.chain import Chain
    from tasks.metrics import Metrics
    from tasks.release.deployment import Deployment
    from tasks.reports.inputs import Published


@dataclass(frozen=True)
class RunResult:
    """A run.

    Attributes:
        record: id, start, profile, settings and stages; the id is empty where all was fresh, as that is no run.
    """

    record: RunRecord
    _chain: Chain = field(repr=False)

    @property
    def stages(self) -> tuple[StageRecord, ...]:
        """What became of each stage: `ran`, `reused` or `failed`, why, and how long it took in seconds."""
        return tuple(self.record.stages)

    @property
    def is_fresh(self) -> bool:
        """True when nothing had to run."""
        return all(item.outcome == "reused" for item in self.record.stages)

    @property
    def receipts(self) -> Mapping[str, Receipt]:
        """The receipt of each stage that did not fail, by stage, while the home still has it."""
        found = {
            item.stage: self._chain.receipts.load(item.stage, item.key)
            for item in self.record.stages
            if item.outcome != "failed" and item.key
        }
        return {stage: receipt for stage, receipt in found.items() if receipt is not None}

    @property
    def metrics(self) -> Metrics | None:
        """What the evaluation found; None for a run without one."""
        receipts = self.receipts
        return metrics_of(self._chain, receipts["evaluate"]) if "evaluate" in receipts else None

    @property
    def accuracy(self) -> float | None:
        """The share of right answers to the evaluation images, 0 to 1; None for a run without an evaluation."""
        metrics = self.metrics
        return None if metrics is None else metrics.accuracy

    @property
    def release(self) -> Published | None:
        """The published release; None for a run without one."""
        return published_of(self.chain) if "publish" in self.receipts else None

    @property
    def deployment(self) -> Deployment | None:
        """The release on each board, with the board's facts and smoke test; None for a run without one."""
        return deployment_of(self.chain) if "deploy" in self.receipts else None

    @property
    def chain(self) -> Chain:
        """The chain with the receipts of this run, which the functions of `tasks.reports` read."""
        self._chain.known = dict(self.receipts)
        return self._chain

    def output(self, stage: str, name: str) -> Path:
        """The path of a file that a stage made; read only, and without a suffix, since it is the one of the store.

        Args:
            stage: such as `train`.
            name: of the output, such as `checkpoint`; `receipts[stage].outputs` has them all.

        Raises:
            UserError: the run has no such output, or it is a folder.
        """
        artifact = self._artifact(stage, name)
        if artifact.kind == "tree":
            raise UserError(f"the output '{name}' of stage {stage} is a folder", hint="`save` copies it")
        return self._chain.store.path(artifact)

    def save(self, stage: str, name: str, folder: str | Path) -> Path:
        """Copy what a stage made into a folder, under its own name, such as `checkpoint.ckpt`.

        Args:
            stage: such as `train`.
            name: of the output.
            folder: is made when there is none; a file of this name is replaced.

        Returns:
            The copy: a file or a folder.

        Raises:
            UserError: the run has no such output.
        """
        artifact = self._artifact(stage, name)
        target = Path(folder) / artifact.name
        for inner, file in self._chain.store.files(artifact).items():
            path = target / inner if artifact.kind == "tree" else target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            shutil.copyfile(file.path, path)
        return target

    def _artifact(self, stage: str, name: str) -> Artifact:
        receipt = self.receipts.get(stage)
        artifact = None if receipt is None else receipt.outputs.get(name)
        if artifact is None:
            known = "`stages` says what became of each" if receipt is None else f"it has {', '.join(receipt.outputs)}"
            raise UserError(f"this run has no output '{name}' of stage {stage}", hint=known)
        return artifact

    def _repr_html_(self) -> str:
        from flows.project.page import page  # noqa: PLC0415 - Matplotlib, for notebooks alone

        return page(self)
