"""Run users' scripts as ModelArts jobs: billed, so submitted once for each key, and found again after any crash."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from infra.errors import Transient
from infra.faults import NO_FAULTS, FaultPlan
from infra.modelarts import plan
from infra.modelarts.abnormal import end
from infra.modelarts.codes import JobMissing
from infra.modelarts.ledger import Intent, Ledger
from infra.modelarts.phases import Phase
from infra.modelarts.scripts import script as plans
from infra.modelarts.scripts.script import Script
from infra.modelarts.stall import NO_ALARM, Alarm
from infra.modelarts.stop import cancel
from infra.modelarts.submit import Report, Submitter
from infra.modelarts.watch import LogReader, Watcher, job_error
from infra.obs.address import ObjectAddress
from infra.ports.storage import ObjectStore
from infra.ports.training import JobStatus, OnEvent
from infra.settings import ModelArtsSettings

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job


@dataclass(frozen=True)
class Submission:
    """The job of a script.

    Attributes:
        created: False for one that existed already, which is not paid for again.
        output: address where it writes; empty when the script copies its output itself.
    """

    job: "Job"
    created: bool
    output: str


@dataclass(frozen=True)
class ScriptRuns:
    """Submits and watches jobs of scripts.

    Attributes:
        client: the API calls.
        store: the bucket of the settings, for outputs and logs that have no address of their own.
        settings: of the jobs.
        prefix: of all keys in the bucket.
        ledger: of this installation.
        list_jobs: lists all jobs of AtlasFlow, which share `modelarts.jobs_at_once`.
        faults: injected at the points of `Submitter` and `Watcher`.
        sleep: waits for seconds.
        alarm: for a job that makes no progress.
        admit: called with the name of a job that is about to be created; raises where there must be none.
    """

    client: "ModelArts"
    store: ObjectStore
    settings: ModelArtsSettings
    prefix: str
    ledger: Ledger
    list_jobs: "Callable[[], Sequence[Job]]"
    faults: FaultPlan = NO_FAULTS
    sleep: Callable[[float], None] = time.sleep
    alarm: Alarm = NO_ALARM
    admit: Callable[[str], None] = lambda _name: None

    def submit(self, script: Script, report: Report, *, again: bool = False, settle: bool = True) -> Submission:
        """Submit a job, or find the one of the same key that runs or has completed.

        Args:
            script: what to run.
            report: receives status lines.
            again: run and pay again although it has completed.
            settle: nobody will watch the job, so that the next call with `again` makes another one.

        Raises:
            UserError: a setting is missing, the cost may exceed the cap, or the platform rejects the request.
            Refused, Transient: the answer of the platform.
        """
        plans.check(script)
        key = script.key(self.settings)
        output = plans.output_address(script, key, self.store.bucket, self.prefix)
        with self.ledger.watch(key):
            versions = self._versions(script.name)
            found = self._existing(key, versions, again=again)
            submitted = found or self._create(script, key, output, versions, report)
            self.ledger.write(Intent(key, submitted.name, submitted.id, settled=settle))
        return Submission(submitted, found is None, output)

    def run(self, script: Script, on_event: OnEvent, *, again: bool = False) -> Submission:
        """Submit or find the job and watch it to its end.

        Raises:
            UserError, Refused, Transient, AtlasFlowError: as for `submit`, and the job's own failure.
        """

        def report(text: str) -> None:
            on_event(JobStatus(text))

        key = script.key(self.settings)
        try:
            submission = self.submit(script, report, again=again, settle=False)
            if not submission.created:
                report(f"the job {submission.job.name} of these inputs exists: {submission.job.phase}")
            ended = self.watch(submission.job, on_event)
        except Exception:
            raise
        except BaseException:  # Ctrl-C
            cancel(self.client, self.ledger, key, self.settings, self.sleep, report)
            raise
        self.ledger.write(Intent(key, ended.name, ended.id, settled=True))
        return replace(submission, job=ended)

    def watch(self, job: "Job", on_event: OnEvent) -> "Job":
        """Watch a job to its end; return it as it is then.

        Raises:
            AtlasFlowError: it failed, was stopped or got lost; the class is that of its exit code.
        """
        ended, log = self._watch(job, on_event)
        error = job_error(self.client, ended, log)
        if error is not None:
            raise error
        return ended

    def _watch(self, job: "Job", on_event: OnEvent) -> "tuple[Job, LogReader]":
        watcher = Watcher(self.client, on_event, self.settings.poll_seconds, self.faults, self.sleep, alarm=self.alarm)
        return watcher.watch(job)

    def _versions(self, name: str) -> "dict[int, Job]":
        found = self.client.find(name, self.settings.workspace)
        return {number: job for job in found if (number := plans.version(name, job.name))}

    def _existing(self, key: str, versions: "dict[int, Job]", *, again: bool) -> "Job | None":
        """Return the job to use for this key; None when a new version is due."""
        intent = self.ledger.read(key)
        own = [job for _, job in sorted(versions.items()) if _is_of(job, key)]
        latest = own[-1] if own else self._unlisted(intent)
        if latest is None or not _is_of(latest, key):
            return None
        settled = intent is None or intent.settled or intent.name != latest.name
        if settled and latest.phase == Phase.ABNORMAL:
            latest = end(self.client, latest, self.settings.poll_seconds, self.sleep)
        if latest.final and (latest.phase != Phase.COMPLETED or (again and settled)):
            return None
        return None if latest.stopped else latest

    def _unlisted(self, intent: Intent | None) -> "Job | None":
        """Return a job that was created, although a search does not show it (yet)."""
        if intent is None or not intent.id:
            return None
        try:
            return self.client.show(intent.id)
        except JobMissing:
            return None

    def _create(self, script: Script, key: str, output: str, versions: "dict[int, Job]", report: Report) -> "Job":
        name = plans.version_name(script.name, max(versions, default=0) + 1)
        intent = self.ledger.read(key)
        if intent is not None and not intent.id and not intent.settled and plans.version(script.name, intent.name):
            name = intent.name  # its answer was lost: a second request of the same name cannot be billed twice
        self.admit(name)
        log = script.log or ObjectAddress(self.store.bucket, f"{self.prefix.strip('/')}/{self.settings.logs}").folder
        text = plans.description(key, self.ledger.installation())
        body = plans.body(script, name, text, self.settings, output, log)
        submitter = Submitter(
            self.client,
            self.store,
            self.settings,
            plan.JobPaths(self.store.bucket, self.prefix),
            self.ledger,
            self.faults,
            self.sleep,
        )
        created = submitter.create(key, name, body, self.list_jobs, report)
        if not _is_of(created, key):  # the name was taken in between, and the submitter found the other job
            self.ledger.write(Intent(key, "", settled=True))
            raise Transient(f"the job name {name} has just been taken", hint="submit again: it gets the next version")
        return created


def _is_of(job: "Job", key: str) -> bool:
    return plans.key_of(job.description) == key[: plans.KEY_DIGITS]
