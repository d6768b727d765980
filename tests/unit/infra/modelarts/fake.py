"""A scripted client of ModelArts: phases, answers and errors in the order of a test, without a server."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from infra.modelarts.codes import DuplicateName
from infra.modelarts.job import Job, LogPreview
from infra.modelarts.phases import FINAL_PHASES, STOPPED_PHASES, Phase
from tests.unit.infra.modelarts import doubles

Step = Phase | Exception


@dataclass
class FakeModelArts:
    """Answers as scripted.

    Attributes:
        phases: what the looks at a job show, in order; the last one stays. An exception is raised.
        preview_error: raised by each look at a log.
        creations: errors of the requests to create a job, in order; None: created, an error that is created all the
            same is in `lost`.
        lag: searches that do not show a new job.
        stopped_as: phase after a request to stop.
    """

    phases: list[Step] = field(default_factory=lambda: [Phase.COMPLETED])
    preview_error: Exception | None = None
    events_error: Exception | None = None
    creations: list[Exception | None] = field(default_factory=list)
    lost: bool = False
    lag: int = 0
    stopped_as: Phase | None = None
    running_ms: Callable[[], int] = lambda: 1000
    all: list[Job] = field(default_factory=list)
    stops: int = 0

    def submit(self, body: dict[str, dict[str, object]]) -> Job:
        error = self.creations.pop(0) if self.creations else None
        name = str(body["metadata"]["name"])
        if error is None and any(job.name == name for job in self.all):
            raise DuplicateName(f"duplicate {name}")
        if error is None or self.lost:
            self.all.insert(0, job_of(name, output=_output(body)))
        if error is not None:
            raise error
        return self.all[0]

    def find(self, part: str, workspace: str) -> Sequence[Job]:
        if self.all and self.lag:
            self.lag -= 1
            return ()
        return tuple(job for job in self.all if part in job.name)

    def find_by_name(self, name: str, workspace: str) -> Job | None:
        return next((job for job in self.find(name, workspace) if job.name == name), None)

    def show(self, identity: str) -> Job:
        step = self.phases.pop(0) if len(self.phases) > 1 else self.phases[0]
        if isinstance(step, Exception):
            raise step
        number = next(index for index, job in enumerate(self.all) if job.id == identity)
        self.all[number] = replace(
            self.all[number], phase=step, final=step in FINAL_PHASES, running_ms=self.running_ms(), tasks=("worker-0",)
        )
        return self.all[number]

    def stop(self, identity: str) -> Job:
        self.stops += 1
        if self.stopped_as is not None:
            self.phases = [self.stopped_as]
        return self.show(identity)

    def describe(self, identity: str, text: str) -> None:
        pass

    def preview(self, identity: str, task: str) -> LogPreview | None:
        if self.preview_error is not None:
            raise self.preview_error
        return LogPreview("line\n", 5, 5)

    def events(self, identity: str) -> Sequence[str]:
        if self.events_error is not None:
            raise self.events_error
        return ("an event",)


def job_of(name: str, phase: Phase = Phase.CREATING, output: str = "") -> Job:
    """A job as the platform shows it."""
    final, queued = phase in FINAL_PHASES, None
    assert STOPPED_PHASES
    return Job(f"id-{name}", name, phase, final, 1, queued, 0, (), None, "", output, "installation here")


def write_results(store: doubles.FolderStore, folder: Path, prefix: str) -> None:
    """Write what a job leaves: one result and the list of digests."""
    folder.mkdir(exist_ok=True)
    (folder / "r.txt").write_bytes(b"result")
    (folder / "digests.json").write_text(json.dumps({"r.txt": sha256(b"result").hexdigest()}))
    store.put_tree(prefix, folder)


def _output(body: dict[str, dict[str, object]]) -> str:
    outputs = body["algorithm"]["outputs"]
    assert isinstance(outputs, list)
    return str(outputs[0]["remote"]["obs"]["obs_url"])
