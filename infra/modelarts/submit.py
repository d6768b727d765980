"""Submit a ModelArts job once, whatever happens to the answers: it is paid for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.errors import Transient
from infra.faults import FaultPlan
from infra.modelarts import addresses, plan
from infra.modelarts.codes import DuplicateName
from infra.modelarts.ledger import Intent, Ledger
from infra.ports.storage import ObjectStore
from infra.ports.training import TrainJob
from infra.ports.values import Lines
from infra.settings import ModelArtsSettings
from infra.store.locks import hold

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job

_SUBMITS = 3


@dataclass(frozen=True)
class Submitter:
    """Submits jobs; what each part is for is said at `ModelArtsTrainer`."""

    client: "ModelArts"
    store: ObjectStore
    settings: ModelArtsSettings
    place: plan.Place
    ledger: Ledger
    faults: FaultPlan
    sleep: Callable[[float], None]

    def submit(self, job: TrainJob, latest: "Job | None", jobs: Callable[[], "Sequence[Job]"], tell: Lines) -> "Job":
        """Write the intent down, wait for a place among our jobs, submit.

        Args:
            job: the work.
            latest: the last attempt at it.
            jobs: asks for all our jobs.
            tell: receives lines for people.

        Raises:
            UserError: a setting is missing or the cost cap is passed.
            Refused: the platform says no.
            Transient: it does not answer; a job that it made all the same is found by its name.
        """
        attempt = self._attempt(job, latest)
        if job.pretrained is not None:
            place = self.place.pretrained(job.pretrained.sha256)
            self.store.put(f"{place}/{job.pretrained.path.name}", job.pretrained)
        body = plan.body(job, attempt, self.settings, self.place)
        plan.check_cost(self.settings)
        with hold(self.ledger.folder / "submit.lock"):
            self._wait_for_slot(jobs, tell)
            name = plan.name(job.key, attempt.number)
            self.ledger.write(Intent(job.key, name))
            self.faults.reach("train.job.intent")
            remote = self._create(name, body)
            self.faults.reach("train.job.submitted")
            self.ledger.write(Intent(job.key, name, remote.id))
        cost = plan.most(self.settings)
        tell(f"submitted the ModelArts job {name}" + (f", which costs at most {cost:.2f}" if cost is not None else ""))
        return remote

    def _attempt(self, job: TrainJob, latest: "Job | None") -> plan.Attempt:
        """The next attempt: it goes on where the one before it wrote, or in a place of its own when it starts anew."""
        number = 1 if latest is None else plan.attempt_of(latest.name) + 1
        results = self.place.results(job.key)
        if job.again:
            results = f"{results}-{number}"
        elif latest is not None and latest.output:
            bucket, before = addresses.split(latest.output)
            results = before if bucket == self.place.bucket else results
        left = not job.again and any(True for _ in self.store.list(f"{results}/"))
        return plan.Attempt(number, results, left, self.ledger.installation())

    def _wait_for_slot(self, jobs: Callable[[], "Sequence[Job]"], tell: Lines) -> None:
        """Wait until fewer than `jobs_at_once` of our jobs are there."""
        told = False
        while True:
            busy = [job.name for job in jobs() if not job.final]
            if len(busy) < self.settings.jobs_at_once:
                return
            if not told:
                tell(f"waiting, as modelarts.jobs_at_once is {self.settings.jobs_at_once}: {', '.join(busy)}")
                told = True
            self.sleep(self.settings.poll_seconds)

    def _create(self, name: str, body: dict[str, object]) -> "Job":
        """Create the job; its name is unique, so one that was made with the answer lost can be looked for."""
        for last in (number == _SUBMITS for number in range(1, _SUBMITS + 1)):
            try:
                self.faults.reach("train.job.submit")
                return self.client.submit(body)
            except (DuplicateName, Transient) as trouble:
                jobs = self.client.find(name, self.settings.workspace)
                found = next((job for job in jobs if job.name == name), None)
                if found is not None:
                    return found
                if last or isinstance(trouble, DuplicateName):
                    raise
                self.sleep(self.settings.poll_seconds)
        raise AssertionError("the last round returns or raises")
