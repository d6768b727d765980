"""ModelArts behind the simulated network: jobs run by the virtual clock, and each one is billed."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from infra.errors import Transient
from infra.modelarts.codes import DuplicateName, JobMissing
from infra.modelarts.job import Job, LogPreview
from infra.modelarts.phases import FINAL_PHASES, Phase
from infra.obs.address import ObjectAddress
from tests.simulation.bucket import Bucket
from tests.simulation.kernel import EPOCH, Kernel, Violation
from tests.simulation.network import Lost, Network

T = TypeVar("T")


@dataclass
class _Submitted:
    job: Job
    key: str
    spec: str
    listed_at: float
    starts: float
    ends: float
    end: Phase
    written: bool = False


class Platform:
    """The calls of `infra.modelarts.client.ModelArts` that a training uses."""

    def __init__(self, kernel: Kernel, network: Network, bucket: Bucket) -> None:
        self._kernel = kernel
        self._network = network
        self._bucket = bucket
        self._jobs: list[_Submitted] = []
        self._mishaps = kernel.dice.choice((0.0, 0.0, 0.3))

    def submit(self, body: Mapping[str, Any]) -> Job:
        return self._call(lambda: self._submit(body), repeatable=False)

    def show(self, identity: str) -> Job:
        return self._call(lambda: self._look(self._of(identity)))

    def find(self, part: str, workspace: str) -> Sequence[Job]:
        return self._call(
            lambda: [
                self._look(item)
                for item in reversed(self._jobs)
                if part in item.job.name and item.listed_at <= self._kernel.now
            ]
        )

    def find_by_name(self, name: str, workspace: str) -> Job | None:
        return next((job for job in self.find(name, workspace) if job.name == name), None)

    def stop(self, identity: str) -> Job:
        return self._call(lambda: self._stop(self._of(identity)))

    def describe(self, identity: str, text: str) -> None:
        def change() -> None:
            item = self._of(identity)
            item.job = replace(item.job, description=text)

        self._call(change)

    def tag(self, identity: str, tags: Mapping[str, str]) -> None:
        self._call(lambda: self._of(identity))

    def preview(self, identity: str, task: str) -> LogPreview | None:
        def read() -> LogPreview | None:
            item = self._of(identity)
            done = max(0, int(self._kernel.now - item.starts)) // 20
            text = "".join(f"step {number}\n" for number in range(done))
            return LogPreview(text, len(text), len(text)) if text else None

        return self._call(read)

    def events(self, identity: str) -> Sequence[str]:
        return self._call(lambda: ())

    def _submit(self, body: Mapping[str, Any]) -> Job:
        name, dice = body["metadata"]["name"], self._kernel.dice
        if any(item.job.name == name for item in self._jobs):
            raise DuplicateName(f"there is a job {name}")
        key = body["algorithm"]["environments"]["ATLASFLOW_SPEC"]
        self._check_paid_once(key)
        now = self._kernel.now
        starts = now + dice.choice((1.0, 20.0))
        end = dice.choice((Phase.ABNORMAL, Phase.FAILED)) if dice.random() < self._mishaps else Phase.COMPLETED
        job = Job(
            f"job-{len(self._jobs)}",
            name,
            Phase.CREATING,
            final=False,
            created_ms=int((EPOCH + now) * 1000),
            queued_ms=None,
            running_ms=0,
            tasks=(),
            exit_code=None,
            message="",
            output=body["algorithm"]["outputs"][0]["remote"]["obs"]["obs_url"],
            description=body["metadata"]["description"],
        )
        listed = now + dice.choice((0.0, 0.0, 8.0))
        self._jobs.append(_Submitted(job, key, key, listed, starts, starts + dice.choice((5.0, 60.0, 200.0)), end))
        self._kernel.note(f"billed: {name}")
        return job

    def _check_paid_once(self, key: str) -> None:
        before = [self._look(item) for item in self._jobs if item.key == key]
        if [job for job in before if not job.final or job.phase == Phase.COMPLETED]:
            raise Violation(f"the training {key} is paid twice")

    def _stop(self, item: _Submitted) -> Job:
        if not self._look(item).final:
            item.ends, item.end = self._kernel.now, Phase.TERMINATED
        return self._look(item)

    def _look(self, item: _Submitted) -> Job:
        now = self._kernel.now
        if now < item.starts:
            return replace(item.job, phase=Phase.PENDING)
        started = replace(item.job, queued_ms=1000, tasks=("worker-0",))
        if now < item.ends:
            return replace(started, phase=Phase.RUNNING, running_ms=int((now - item.starts) * 1000))
        if item.end == Phase.COMPLETED and not item.written:
            item.written = True
            self._write_results(item)
        ran, code = int((item.ends - item.starts) * 1000), 5 if item.end == Phase.FAILED else None
        final = item.end in FINAL_PHASES
        return replace(started, phase=item.end, final=final, running_ms=ran, exit_code=code)

    def _write_results(self, item: _Submitted) -> None:
        _, prefix = ObjectAddress.parse_folder(item.job.output).parts
        data = checkpoint(item.spec)
        self._bucket.objects[f"{prefix}/checkpoint.ckpt"] = data
        digests = {"checkpoint.ckpt": hashlib.sha256(data).hexdigest()}
        self._bucket.objects[f"{prefix}/digests.json"] = json.dumps(digests).encode()

    def _of(self, identity: str) -> _Submitted:
        for item in self._jobs:
            if item.job.id == identity:
                return item
        raise JobMissing(f"there is no job {identity}")

    def _call(self, serve: Callable[[], T], *, repeatable: bool = True) -> T:
        try:
            return self._network.call("platform", serve, repeatable=repeatable)
        except Lost as error:
            raise Transient("ModelArts does not answer") from error


def checkpoint(spec: str) -> bytes:
    """What training by a specification gives."""
    return f"checkpoint of {spec}\n".encode() * 40
