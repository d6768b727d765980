"""Train in a ModelArts job: it is billed, so it is never submitted twice, and is found again after any crash."""

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from infra.errors import Corrupt, UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.modelarts import plan, results
from infra.modelarts.abnormal import end
from infra.modelarts.ledger import Intent, Ledger
from infra.modelarts.phases import Phase
from infra.modelarts.producer import producer
from infra.modelarts.scripts.script import base_name, key_of, version
from infra.modelarts.stall import Alarm
from infra.modelarts.stop import cancel, stop
from infra.modelarts.submit import Report, Submitter
from infra.modelarts.watch import LogReader, Watcher, job_error
from infra.modelarts.words import Words
from infra.ports.storage import ObjectStore
from infra.ports.training import JobStatus, OnEvent, TrainJob
from infra.ports.values import Producer
from infra.settings import ModelArtsSettings

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job

Result = TypeVar("Result")


class ModelArtsTrainer:
    """Trains in a ModelArts job: the port `Trainer`.

    Args:
        open_client: opens the client at first use, as the SDK takes a while to import.
        open_store: opens the bucket for results and logs, likewise; data and code may be in any other.
        settings: of the jobs.
        prefix: of all keys in the bucket.
        folder: holds the intents.
        emulated: True when the endpoint is the stand-in.
        faults: injected at `train.job.intent`, `.submit`, `.submitted`, `.poll`, `.fetch`.
        sleep: waits for seconds.
        notify: receives subject and text when a job makes no progress.
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
        notify: Callable[[str, str], None] = lambda _subject, _text: None,
    ) -> None:
        self._open_client = open_client
        self._open_store = open_store
        self._settings = settings
        self._prefix = prefix
        self.ledger = Ledger(folder)
        self._emulated = emulated
        self._faults = faults
        self._sleep = sleep
        self.alarm = Alarm(settings.stall_factor, settings.stop_stalled, notify)

    @cached_property
    def client(self) -> "ModelArts":
        """The API calls."""
        return self._open_client()

    @cached_property
    def _store(self) -> ObjectStore:
        return self._open_store()

    @property
    def _paths(self) -> plan.JobPaths:
        return plan.JobPaths(self._store.bucket, self._prefix)

    def producer(self) -> Producer:
        """Name what trains."""
        return producer(self._settings, emulated=self._emulated)

    def train(self, job: TrainJob, on_event: OnEvent) -> None:
        """Submit a job, or find the existing one of this key; watch it; fetch its results.

        Raises:
            UserError: a setting is missing, the cost may exceed the cap, or the training reports it.
            Refused, Corrupt: the platform or the training reports it.
            Transient: worth another call, which resumes.
        """

        def report(text: str) -> None:
            on_event(JobStatus(text))

        with self.ledger.watch(job.key):
            try:
                latest = self._latest_attempt(job.key)
                submitted = self._existing_job(job, latest, report) or self._submit(job, latest, report)
                watcher = Watcher(
                    self.client, on_event, self._settings.poll_seconds, self._faults, self._sleep, alarm=self.alarm
                )
                ended, log = watcher.watch(submitted)
            except Exception:
                raise
            except BaseException:  # Ctrl-C, or Prefect cancels the run
                cancel(self.client, self.ledger, job.key, self._settings, self._sleep, report)
                raise
            self._settle(job, ended, log, report)

    def jobs(self, *, everybody: bool = False) -> Sequence["Job"]:
        """Return all jobs of AtlasFlow in the project, newest first.

        Args:
            everybody: include the jobs of other programs and of the console.
        """
        jobs = self.client.find("", self._settings.workspace)
        return [job for job in jobs if everybody or plan.attempt_number(job.name) or key_of(job.description)]

    def job(self, name: str) -> "Job":
        """Return one job of the project by its name or id.

        Raises:
            UserError: there is no such job.
        """
        found = next((job for job in self.jobs(everybody=True) if name in (job.name, job.id)), None)
        if found is None:
            raise _no_job(name)
        return found

    def versions(self, job: "Job") -> Sequence["Job"]:
        """Return all versions of a job: the attempts at a stage key, or the runs of a script under one name."""
        if attempt := plan.attempt_number(job.name):
            base = job.name.removesuffix(str(attempt))
            return [item for item in self.client.find(base, self._settings.workspace) if plan.attempt_number(item.name)]
        base = base_name(job.name)
        return [item for item in self.client.find(base, self._settings.workspace) if version(base, item.name)]

    def orphans(self, *, everywhere: bool = False) -> Sequence["Job"]:
        """Return the active trainings, which are billed, that no process of this machine watches.

        A user's script is no orphan: it is submitted to run by itself.

        Args:
            everywhere: include jobs of other installations in the project, which may be watched there.
        """
        jobs = [job for job in self.jobs() if plan.attempt_number(job.name) and not job.final and not job.stopped]
        # After listing the jobs, so that a job submitted in between does not count as an orphan.
        watched = {intent.name for intent in self.ledger.all() if self.ledger.is_watched(intent.key)}
        return [job for job in jobs if job.name not in watched and (everywhere or self._is_own(job))]

    def stop(self, name: str) -> "Job":
        """Stop a job by its name.

        Raises:
            UserError: there is no such job.
            Transient, Refused: it could not be stopped, and may still run.
        """
        stopped = stop(self.client, name, self._settings.workspace, self._settings.poll_seconds, self._sleep)
        if stopped is None:
            raise _no_job(name)
        return stopped

    def _is_own(self, job: "Job") -> bool:
        return plan.is_of(job.description, self.ledger.installation())

    def _existing_job(self, job: TrainJob, latest: "Job | None", report: Report) -> "Job | None":
        """Return the job that runs, or has run, for this key; None when a new attempt is due."""
        if latest is None:
            return None
        intent = self.ledger.read(job.key)
        reported = intent is None or intent.name != latest.name or intent.settled
        if reported and latest.phase == Phase.TERMINATING:
            report(f"waiting for the end of the ModelArts job {latest.name}, which was stopped")
            latest = self._wait_until_final(latest, report)
        if reported and latest.phase == Phase.ABNORMAL:
            report(f"ending the abnormal ModelArts job {latest.name}, or seeing that it is over")
            latest = end(self.client, latest, self._settings.poll_seconds, self._sleep)
        # An unreported result is used even when a new training is requested: it may be that training.
        if latest.final and reported and (job.again or latest.phase != Phase.COMPLETED):
            return None
        fetched = intent is not None and intent.name == latest.name and intent.settled
        if latest.phase == Phase.COMPLETED and not self._has_results(latest, report, late=not fetched):
            report(f"the results of the ModelArts job {latest.name} are gone; it is run again")
            return None
        action = "adopting the finished" if latest.final else "re-attached to the"
        report(f"{action} ModelArts job {latest.name}")
        self.ledger.write(Intent(job.key, latest.name, latest.id))
        if not latest.final and not self._is_own(latest):  # this installation watches it from now on
            self.client.describe(latest.id, plan.description(job.key, self.ledger.installation()))
        return latest

    def _latest_attempt(self, key: str) -> "Job | None":
        found = self.client.find(plan.name_prefix(key), self._settings.workspace)
        attempts = [job for job in found if plan.attempt_number(job.name)]
        return max(attempts, key=lambda job: plan.attempt_number(job.name), default=None)

    def _wait_until_final(self, job: "Job", report: Report) -> "Job":
        words = Words(report)
        while not job.final:
            self._sleep(self._settings.poll_seconds)
            job = self.client.show(job.id)
            words.say(f"ModelArts job {job.name}: still {job.phase}")
        return job

    def _has_results(self, job: "Job", report: Report, *, late: bool) -> bool:
        """Tell whether a completed job has results; those that nobody has fetched before may be late."""

        def look() -> bool:
            found = bool(results.list_results(self._store, job))
            if late and not found:
                raise Corrupt(f"the ModelArts job {job.name} has no results yet")
            return found

        try:
            return self._outlast(look, report)
        except Corrupt:
            return False

    def _outlast(self, look: Callable[[], Result], report: Report) -> Result:
        return results.outlast(look, self._settings.poll_seconds, self._sleep, report)

    def _submit(self, job: TrainJob, latest: "Job | None", report: Report) -> "Job":
        submitter = Submitter(
            self.client, self._store, self._settings, self._paths, self.ledger, self._faults, self._sleep
        )
        # The attempt that was decided on is kept: two machines that start at once ask for the same name.
        return submitter.submit(job, latest, self.jobs, report)

    def _settle(self, job: TrainJob, ended: "Job", log: LogReader, report: Report) -> None:
        """Fetch the results of a final job, or raise its error; either way the job is reported from now on."""
        settled = Intent(job.key, ended.name, ended.id, settled=True)
        error = job_error(self.client, ended, log)
        if error is None:
            try:
                self._outlast(lambda: results.fetch_results(self._store, ended, job.folder, self._faults), report)
            except Corrupt:  # damaged for good: once reported, a new training can be requested
                self.ledger.write(settled)
                raise
        self._fetch_log(job, ended, log, report)
        self.ledger.write(settled)
        if error is not None:
            raise error

    def _fetch_log(self, job: TrainJob, ended: "Job", log: LogReader, report: Report) -> None:
        name = f"modelarts-job-{ended.id}-{next(iter(ended.tasks), '')}.log"
        exported = f"{self._paths.logs(self._settings.logs)}/{name}"
        problem = results.fetch_log(self._store, exported, job.folder / "train.log", log.kept)
        if problem:
            report(f"the exported log cannot be read: {problem}")


def _no_job(name: str) -> UserError:
    return UserError(f"there is no training job '{name}'", hint="`atlasflow jobs list` shows them")
