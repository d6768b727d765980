"""Submit a ModelArts job exactly once, even when responses are lost: it is billed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, Transient
from infra.faults import FaultPlan
from infra.modelarts import plan
from infra.modelarts.codes import DuplicateName
from infra.modelarts.cost import check_job_cost, maximum_cost
from infra.modelarts.ledger import Intent, Ledger
from infra.modelarts.words import Words
from infra.obs.address import ObjectAddress
from infra.ports.storage import ObjectStore
from infra.ports.training import TrainJob
from infra.retry import MAX_AFTER, delays
from infra.settings import ModelArtsSettings
from infra.store.locks import hold

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job


@dataclass(frozen=True)
class _Attempts:
    seconds: float
    attempts: int = 5


class _NotListed(Transient):
    """The platform has a job of this name, and does not list it yet."""


Report = Callable[[str], None]
"""Receives the status of a job, as a line to read."""


@dataclass(frozen=True)
class Submitter:
    """Submits jobs; `ModelArtsTrainer` documents each attribute."""

    client: "ModelArts"
    store: ObjectStore
    settings: ModelArtsSettings
    paths: plan.JobPaths
    ledger: Ledger
    faults: FaultPlan
    sleep: Callable[[float], None]

    def submit(
        self, job: TrainJob, latest: "Job | None", list_jobs: Callable[[], "Sequence[Job]"], report: Report
    ) -> "Job":
        """Wait for a free slot, write the intent, create the job.

        Args:
            job: the training.
            latest: the last attempt at it.
            list_jobs: lists all jobs of AtlasFlow.
            report: receives status lines.

        Raises:
            UserError: a setting is missing, or the cost may exceed the cap.
            Refused: the platform rejects the job.
            Transient: the platform does not answer; if it created the job all the same, the next call finds it.
        """
        attempt = self._attempt(job, latest)
        if job.pretrained is not None:
            folder = self.paths.pretrained(job.pretrained.sha256)
            self.store.put(f"{folder}/{job.pretrained.path.name}", job.pretrained)
        body = plan.body(job, attempt, self.settings, self.paths)
        return self.create(job.key, plan.name(job.key, attempt.number), body, list_jobs, report)

    def create(
        self,
        key: str,
        name: str,
        body: dict[str, object],
        list_jobs: Callable[[], "Sequence[Job]"],
        report: Report,
    ) -> "Job":
        """Wait for a free slot, write the intent, create the job of this name and body.

        Raises:
            UserError, Refused, Transient: as for `submit`.
        """
        check_job_cost(self.settings)
        with hold(self.ledger.folder / "submit.lock"):
            self._wait_for_slot(list_jobs, report)
            self.ledger.write(Intent(key, name))
            self.faults.reach("train.job.intent")
            submitted = self._create(name, body)
            self.faults.reach("train.job.submitted")
            self.ledger.write(Intent(key, name, submitted.id))
        if self.settings.tags:
            self._tag(submitted, report)
        cost = maximum_cost(self.settings)
        limit = "" if cost is None else f", which costs at most {cost:.2f}"
        report(f"submitted the ModelArts job {name}{limit}")
        return submitted

    def _attempt(self, job: TrainJob, latest: "Job | None") -> plan.Attempt:
        """Plan the next attempt: it resumes under the prefix of the last one, or starts anew under its own."""
        number = 1 if latest is None else plan.attempt_number(latest.name) + 1
        results = self.paths.results(job.key)
        if job.again:
            results = f"{results}-{number}"
        elif latest is not None and latest.output:
            bucket, before = ObjectAddress.parse_folder(latest.output).parts
            results = before if bucket == self.paths.bucket else results
        resume = not job.again and any(True for _ in self.store.list(f"{results}/"))
        return plan.Attempt(number, results, resume, self.ledger.installation())

    def _wait_for_slot(self, list_jobs: Callable[[], "Sequence[Job]"], report: Report) -> None:
        """Wait until fewer than `jobs_at_once` jobs of AtlasFlow are active."""
        reported, words = False, Words(report)
        while True:
            active = [job.name for job in list_jobs() if not job.final]
            if len(active) < self.settings.jobs_at_once:
                return
            waiting = f"waiting, as modelarts.jobs_at_once is {self.settings.jobs_at_once}: {', '.join(active)}"
            if reported:
                words.say(waiting)
            else:
                report(waiting)
            reported = True
            self.sleep(self.settings.poll_seconds)

    def _create(self, name: str, body: dict[str, object]) -> "Job":
        """Create the job; after a lost response look it up by its name, which is unique.

        It is tried again only when the platform says when (`Retry-After`), or when it has a job of this name and does
        not list it yet; otherwise the stage is, and finds a job that appears later.
        """
        for delay in delays(_Attempts(self.settings.poll_seconds)):
            try:
                return self._create_once(name, body)
            except Transient as error:
                if error.after > MAX_AFTER or not (error.after or isinstance(error, _NotListed)):
                    raise
                self.sleep(max(delay, error.after))
        return self._create_once(name, body)

    def _tag(self, job: "Job", report: Report) -> None:
        try:
            self.client.tag(job.id, self.settings.tags)
        except AtlasFlowError as error:  # the job runs, and is paid for
            report(f"the ModelArts job {job.name} runs without its tags: {error.message}")

    def _create_once(self, name: str, body: dict[str, object]) -> "Job":
        try:
            self.faults.reach("train.job.submit")
            return self.client.submit(body)
        except (DuplicateName, Transient) as error:
            found = self.client.find_by_name(name, self.settings.workspace)
            if found is not None:
                return found
            if isinstance(error, DuplicateName):
                hint = "run again: it is this training's own job, which is adopted"
                raise _NotListed(f"there is a ModelArts job {name}, which is not listed yet", hint=hint) from error
            raise
