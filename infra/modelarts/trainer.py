"""Training as a ModelArts job: paid for, so never submitted twice, and found again after any crash."""

import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, Corrupt, UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.home import CHECKOUT
from infra.local_training import protocol
from infra.local_training.trainer import processor
from infra.modelarts import plan, results
from infra.modelarts.ledger import Intent, Ledger
from infra.modelarts.stop import STOPPED, stop
from infra.modelarts.submit import Submitter
from infra.modelarts.watch import LogReader, follow, outcome
from infra.ports.storage import ObjectStore
from infra.ports.training import TrainJob
from infra.ports.values import Lines, Producer
from infra.settings import ModelArtsSettings
from infra.store.code_digest import closure
from infra.store.digests import value_digest

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job


def producer(settings: ModelArtsSettings, *, emulated: bool) -> Producer:
    """Who trains; needs neither a client nor an answer of the platform.

    The stand-in trains with this machine's MindSpore, and its version is the digest of the code that lays out a job.
    """
    details = {"engine": settings.engine, "flavor": settings.flavor, "nodes": str(settings.node_count)}
    if not emulated:
        return Producer("modelarts", settings.engine, emulated=False, details=details)
    version = value_digest(closure(["infra.modelarts.emulator.container"], CHECKOUT))[:16]
    details |= {"mindspore": importlib.metadata.version("mindspore"), **processor()}
    return Producer("modelarts-stand-in", version, emulated=True, details=details)


class ModelArtsTrainer:
    """Trains as a ModelArts job: the port `Trainer`.

    Args:
        open_client: makes the client when it is first needed, as the SDK takes a while to import.
        open_store: likewise the bucket for results and logs; data and code may lie in any other.
        settings: what to ask for; the client knows whom.
        prefix: all our keys in the bucket start with this.
        folder: where the intents are kept.
        emulated: True when the end point is the stand-in.
        faults: breaks at `train.job.intent`, `.submit`, `.submitted`, `.poll`, `.fetch`.
        sleep: waits.
    """

    def __init__(
        self,
        open_client: "Callable[[], ModelArts]",
        open_store: Callable[[], ObjectStore],
        settings: ModelArtsSettings,
        prefix: str,
        folder: Path,
        *,
        emulated: bool,
        faults: FaultPlan = NO_FAULTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._open_client = open_client
        self._open_store = open_store
        self._settings = settings
        self._prefix = prefix
        self._ledger = Ledger(folder)
        self._emulated = emulated
        self._faults = faults
        self._sleep = sleep

    @cached_property
    def client(self) -> "ModelArts":
        """The calls of the platform."""
        return self._open_client()

    @cached_property
    def _store(self) -> ObjectStore:
        return self._open_store()

    @property
    def _place(self) -> plan.Place:
        return plan.Place(self._store.bucket, self._prefix)

    def producer(self) -> Producer:
        """Who trains."""
        return producer(self._settings, emulated=self._emulated)

    def train(self, job: TrainJob, lines: Lines) -> None:
        """Submit a job, or find the one that does this work already; follow it; fetch its results.

        Raises:
            UserError: a setting is missing or the cost cap is passed; or the training says so.
            Refused, Corrupt: the platform or the training says so.
            Transient: worth another call, which goes on where this one stopped.
        """

        def tell(text: str) -> None:
            lines(protocol.note(text))

        with self._ledger.watching(job.key):
            try:
                remote = self._running_or_done(job, tell) or self._submit(job, tell)
                remote, reader = follow(
                    self.client, remote, lines, self._settings.poll_seconds, self._faults, self._sleep
                )
            except Exception:
                raise
            except BaseException:  # Ctrl-C, or Prefect cancels the run
                self._cancel(job.key, tell)
                raise
            self._settle(job, remote, reader)
            self._fetch(job, remote, reader)

    def jobs(self) -> Sequence["Job"]:
        """All our jobs in the project, newest first."""
        return [job for job in self.client.find(plan.PREFIX, self._settings.workspace) if _ours(job)]

    def job(self, name: str) -> "Job":
        """One of our jobs by its name or id.

        Raises:
            UserError: there is none.
        """
        found = next((job for job in self.jobs() if name in (job.name, job.id)), None)
        if found is None:
            raise UserError(f"there is no training job '{name}' of ours", hint="`atlasflow jobs list` shows them")
        return found

    def orphans(self, *, everywhere: bool = False) -> Sequence["Job"]:
        """Jobs that cost money while no process of this machine waits for them.

        Args:
            everywhere: those of other installations in the project too, though somebody may wait for them there.
        """
        jobs = [job for job in self.jobs() if not job.final and job.phase not in STOPPED]
        # After the question, so that a job that is submitted meanwhile is not taken for an orphan.
        watched = {intent.name for intent in self._ledger.all() if self._ledger.watched(intent.key)}
        return [job for job in jobs if job.name not in watched and (everywhere or self._made_here(job))]

    def stop(self, name: str) -> "Job":
        """Stop one of our jobs by its name.

        Raises:
            UserError: there is none.
            Transient, Refused: it could not be stopped, and may go on.
        """
        stopped = self._stop(name)
        if stopped is None:
            raise UserError(f"there is no training job '{name}'", hint="`atlasflow jobs list` shows them")
        return stopped

    def _stop(self, name: str) -> "Job | None":
        return stop(self.client, name, self._settings.workspace, self._settings.poll_seconds, self._sleep)

    def _made_here(self, job: "Job") -> bool:
        return plan.is_of(job.description, self._ledger.installation())

    def _running_or_done(self, job: TrainJob, tell: Lines) -> "Job | None":
        """The job that works, or has worked, on this key; None when a new attempt is due."""
        latest = self._latest(job.key)
        intent = self._ledger.read(job.key)
        if latest is None:
            return None
        told = intent is None or intent.name != latest.name or intent.settled
        if told and latest.phase == "Terminating":
            tell(f"waiting for the end of the ModelArts job {latest.name}, which was stopped")
            latest = self._ended(latest)
        # What nobody has been told of yet is taken even when a new training was asked for: it may be that one.
        if latest.final and told and (job.again or latest.phase != "Completed"):
            return None
        if latest.phase == "Completed" and not results.listed(self._store, latest):
            tell(f"the results of the ModelArts job {latest.name} are gone; it is run again")
            return None
        tell(f"{'adopting the finished' if latest.final else 're-attached to the'} ModelArts job {latest.name}")
        self._ledger.write(Intent(job.key, latest.name, latest.id))
        if not latest.final and not self._made_here(latest):  # from now on it is waited for here
            self.client.describe(latest.id, plan.description(job.key, self._ledger.installation()))
        return latest

    def _latest(self, key: str) -> "Job | None":
        ours = [
            found for found in self.client.find(plan.stem(key), self._settings.workspace) if plan.attempt_of(found.name)
        ]
        return max(ours, key=lambda found: plan.attempt_of(found.name), default=None)

    def _ended(self, remote: "Job") -> "Job":
        while not remote.final:
            self._sleep(self._settings.poll_seconds)
            remote = self.client.show(remote.id)
        return remote

    def _submit(self, job: TrainJob, tell: Lines) -> "Job":
        submitter = Submitter(
            self.client, self._store, self._settings, self._place, self._ledger, self._faults, self._sleep
        )
        return submitter.submit(job, self._latest(job.key), self.jobs, tell)

    def _cancel(self, key: str, tell: Lines) -> None:
        """Stop the job that was wanted for a key, even one whose submission was interrupted."""
        intent = self._ledger.read(key)
        if intent is None or intent.settled:
            return
        if not self._settings.stop_on_cancel:
            tell(f"the ModelArts job {intent.name} goes on, as modelarts.stop_on_cancel is off")
            return
        try:
            stopped = self._stop(intent.name)
        except AtlasFlowError as error:
            tell(f"could not stop the ModelArts job {intent.name}, which goes on and costs: {error.message}")
            return
        if stopped is not None and stopped.phase in STOPPED:
            self._ledger.write(replace(intent, id=stopped.id, settled=True))
            tell(f"stopped the ModelArts job {intent.name}")

    def _settle(self, job: TrainJob, remote: "Job", reader: LogReader) -> None:
        error = outcome(self.client, remote, reader)
        if error is None:
            return
        self._fetch_log(job, remote, reader)
        self._ledger.write(Intent(job.key, remote.name, remote.id, settled=True))
        raise error

    def _fetch(self, job: TrainJob, remote: "Job", reader: LogReader) -> None:
        settled = Intent(job.key, remote.name, remote.id, settled=True)
        try:
            results.fetch(self._store, remote, job.folder, self._faults)
        except Corrupt:  # as it lies there, it stays so: told once, a new training can be asked for
            self._ledger.write(settled)
            raise
        self._fetch_log(job, remote, reader)
        self._ledger.write(settled)

    def _fetch_log(self, job: TrainJob, remote: "Job", reader: LogReader) -> None:
        name = f"modelarts-job-{remote.id}-{next(iter(remote.tasks), '')}.log"
        exported = f"{self._place.logs(self._settings.logs)}/{name}"
        results.fetch_log(self._store, exported, job.folder / "train.log", reader.kept)


def _ours(job: "Job") -> bool:
    return plan.attempt_of(job.name) > 0
