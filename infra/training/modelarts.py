"""Training as a ModelArts job: paid for, so never submitted twice, and found again after any crash."""

import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, Corrupt, Transient, UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.home import CHECKOUT
from infra.ports import Lines, ObjectStore, Producer, TrainJob
from infra.settings import ModelArtsSettings
from infra.store.codedigest import closure
from infra.store.digests import value_digest
from infra.store.locks import hold
from infra.training import addresses, modelarts_plan, protocol
from infra.training.local import processor
from infra.training.modelarts_codes import DuplicateName
from infra.training.modelarts_ledger import Intent, Ledger
from infra.training.modelarts_watch import LogReader, follow, outcome

if TYPE_CHECKING:
    from infra.training.modelarts_client import Job, ModelArts

_SUBMITS = 3


def producer(settings: ModelArtsSettings, *, emulated: bool) -> Producer:
    """Who trains; needs neither a client nor an answer of the platform.

    The stand-in trains with this machine's MindSpore, and its version is the digest of the code that lays out a job.
    """
    details = {"engine": settings.engine, "flavor": settings.flavor, "nodes": str(settings.node_count)}
    if not emulated:
        return Producer("modelarts", settings.engine, emulated=False, details=details)
    version = value_digest(closure(["infra.training.emulated_container"], CHECKOUT))[:16]
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
    def _place(self) -> modelarts_plan.Place:
        return modelarts_plan.Place(self._store.bucket, self._prefix)

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

        remote = self._running_or_done(job, tell) or self._submit(job, tell)
        remote, reader = self._follow(remote, lines)
        self._settle(job, remote, reader)
        self._fetch(job, remote, reader)

    def jobs(self) -> Sequence["Job"]:
        """All our jobs in the project, newest first."""
        return [job for job in self.client.find(modelarts_plan.PREFIX, self._settings.workspace) if _ours(job)]

    def job(self, name: str) -> "Job":
        """One of our jobs by its name or id.

        Raises:
            UserError: there is none.
        """
        found = next((job for job in self.jobs() if name in (job.name, job.id)), None)
        if found is None:
            raise UserError(f"there is no training job '{name}' of ours", hint="`atlasflow jobs list` shows them")
        return found

    def orphans(self) -> Sequence["Job"]:
        """Jobs of ours that cost money while nobody here waits for them: no intent names them, or it is settled."""
        waited_for = {intent.name for intent in self._ledger.all() if not intent.settled}
        return [job for job in self.jobs() if not job.final and job.name not in waited_for]

    def _running_or_done(self, job: TrainJob, tell: Lines) -> "Job | None":
        """The job that works, or has worked, on this key; None when a new attempt is due."""
        latest = self._latest(job.key)
        intent = self._ledger.read(job.key)
        if latest is None:
            return None
        told = intent is None or intent.name != latest.name or intent.settled
        if latest.final and (job.again or (latest.phase != "Completed" and told)):
            return None
        if latest.phase == "Completed" and not self._results(latest):
            tell(f"the results of the ModelArts job {latest.name} are gone; it is run again")
            return None
        tell(f"{'adopting the finished' if latest.final else 're-attached to the'} ModelArts job {latest.name}")
        self._ledger.write(Intent(job.key, latest.name, latest.id))
        return latest

    def _latest(self, key: str) -> "Job | None":
        ours = [
            found
            for found in self.client.find(modelarts_plan.stem(key), self._settings.workspace)
            if modelarts_plan.attempt_of(found.name)
        ]
        return max(ours, key=lambda found: modelarts_plan.attempt_of(found.name), default=None)

    def _submit(self, job: TrainJob, tell: Lines) -> "Job":
        latest = self._latest(job.key)
        attempt = 1 if latest is None else modelarts_plan.attempt_of(latest.name) + 1
        left = not job.again and any(True for _ in self._store.list(f"{self._place.results(job.key)}/"))
        if job.pretrained is not None:
            place = self._place.pretrained(job.pretrained.sha256)
            self._store.put(f"{place}/{job.pretrained.path.name}", job.pretrained)
        body = modelarts_plan.body(job, attempt, self._settings, self._place, resume=left)
        modelarts_plan.check_cost(self._settings)
        cost = modelarts_plan.most(self._settings)
        with hold(self._ledger.folder / "submit.lock"):
            self._wait_for_slot(tell)
            name = modelarts_plan.name(job.key, attempt)
            self._ledger.write(Intent(job.key, name))
            self._faults.reach("train.job.intent")
            remote = self._create(name, body)
            self._faults.reach("train.job.submitted")
            self._ledger.write(Intent(job.key, name, remote.id))
        tell(f"submitted the ModelArts job {name}" + (f", which costs at most {cost:.2f}" if cost is not None else ""))
        return remote

    def _wait_for_slot(self, tell: Lines) -> None:
        """Wait until fewer than `jobs_at_once` of our jobs are there."""
        told = False
        while True:
            busy = [job.name for job in self.jobs() if not job.final]
            if len(busy) < self._settings.jobs_at_once:
                return
            if not told:
                tell(f"waiting, as modelarts.jobs_at_once is {self._settings.jobs_at_once}: {', '.join(busy)}")
                told = True
            self._sleep(self._settings.poll_seconds)

    def _create(self, name: str, body: dict[str, object]) -> "Job":
        """Create the job once, whatever happens to the answers: its name is unique, so it can be looked for."""
        for last in (number == _SUBMITS for number in range(1, _SUBMITS + 1)):
            try:
                self._faults.reach("train.job.submit")
                return self.client.submit(body)
            except (DuplicateName, Transient) as trouble:
                jobs = self.client.find(name, self._settings.workspace)
                found = next((job for job in jobs if job.name == name), None)
                if found is not None:
                    return found
                if last or isinstance(trouble, DuplicateName):
                    raise
                self._sleep(self._settings.poll_seconds)
        raise AssertionError("the last round returns or raises")

    def _follow(self, remote: "Job", lines: Lines) -> "tuple[Job, LogReader]":
        try:
            return follow(self.client, remote, lines, self._settings.poll_seconds, self._faults, self._sleep)
        except Exception:
            raise
        except BaseException:  # Ctrl-C, or Prefect cancels the run
            self._cancel(remote, lambda text: lines(protocol.note(text)))
            raise

    def _cancel(self, remote: "Job", tell: Lines) -> None:
        if not self._settings.stop_on_cancel:
            tell(f"the ModelArts job {remote.name} goes on, as modelarts.stop_on_cancel is off")
            return
        try:
            self.client.stop(remote.id)
            tell(f"stopped the ModelArts job {remote.name}")
        except AtlasFlowError as error:
            tell(f"could not stop the ModelArts job {remote.name}, which goes on and costs: {error.message}")

    def _settle(self, job: TrainJob, remote: "Job", reader: LogReader) -> None:
        error = outcome(self.client, remote, reader)
        if error is None:
            return
        self._write_log(job, remote, reader)
        intent = self._ledger.read(job.key) or Intent(job.key, remote.name, remote.id)
        self._ledger.write(replace(intent, settled=True))
        raise error

    def _results(self, remote: "Job") -> dict[str, str]:
        """Path in the results to object key.

        Raises:
            UserError: the job writes to another bucket than ours.
        """
        bucket, prefix = addresses.split(remote.output)
        if bucket != self._store.bucket:
            raise UserError(
                f"the ModelArts job {remote.name} writes to the bucket {bucket}, not to {self._store.bucket}",
                hint=f"set obs.bucket={bucket}, or delete the job",
            )
        keys = [key for key, _ in self._store.list(f"{prefix}/") if not key.endswith("/")]
        return {key.removeprefix(f"{prefix}/"): key for key in keys}

    def _fetch(self, job: TrainJob, remote: "Job", reader: LogReader) -> None:
        results = self._results(remote)
        if not results:
            raise Corrupt(f"the ModelArts job {remote.name} completed, but wrote nothing to {remote.output}")
        for relative, key in results.items():
            if ".." in PurePosixPath(relative).parts:
                raise Corrupt(f"the object {key} would leave the folder of results")
            self._faults.reach("train.job.fetch")
            self._store.get(key, job.folder / relative)
        self._write_log(job, remote, reader)
        self._ledger.write(Intent(job.key, remote.name, remote.id, settled=True))

    def _write_log(self, job: TrainJob, remote: "Job", reader: LogReader) -> None:
        """Fetch the log that the platform exported; where it did not, keep the lines that we have seen."""
        exported = (
            f"{self._place.logs(self._settings.logs)}/modelarts-job-{remote.id}-{next(iter(remote.tasks), '')}.log"
        )
        target = job.folder / "train.log"
        if self._store.head(exported) is not None:
            self._store.get(exported, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("".join(f"{line}\n" for line in reader.kept), encoding="utf-8")


def _ours(job: "Job") -> bool:
    return modelarts_plan.attempt_of(job.name) > 0
