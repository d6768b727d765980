"""Watch a ModelArts job to its end: phases, log lines as they appear, and the error that its end means."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, Refused, Transient
from infra.faults import FaultPlan
from infra.local_training import protocol
from infra.local_training.protocol import ProgramError
from infra.modelarts.codes import JobMissing
from infra.modelarts.phases import Phase
from infra.modelarts.stall import NO_ALARM, Alarm, Progress
from infra.modelarts.words import Words
from infra.ports.training import Epoch, JobStatus, LogLine, OnEvent

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job

_MAX_BACKOFF = 6  # times the first pause
_MAX_FAILURES = 5  # polls in a row
_LATE_LOG_POLLS = 5
_KEPT_LINES = 10_000
_AGAIN = "it is billed; run again to watch it"
_OUT_OF_MEMORY = 137  # 128 + SIGKILL, which only the kernel sends into a container


class LogReader:
    """Turns previews of a growing log, which show only its end, into events; each line is reported once."""

    def __init__(self, on_event: OnEvent, on_log: OnEvent = lambda _event: None) -> None:
        self._on_event = on_event
        self._on_log = on_log
        self._seen = 0
        self._rest = b""
        self.error: ProgramError | None = None
        self.readable = True
        self.kept: deque[str] = deque(maxlen=_KEPT_LINES)

    def feed(self, content: str, total: int) -> bool:
        """Report the lines that are new.

        Args:
            content: the end of the log.
            total: bytes of the whole log.

        Returns:
            True when there were new bytes.
        """
        if total < self._seen:  # a restarted job begins a new log
            self._seen, self._rest = 0, b""
        data = content.encode()
        fresh = total - self._seen
        if fresh > len(data):
            self._rest = b""
            self._report("… (part of the log was skipped; object storage has the whole log)")
        self._rest += data[max(0, len(data) - fresh) :] if fresh else b""
        self._seen = total
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._report(line.decode(errors="replace").rstrip("\r"))
        return fresh > 0

    def close(self) -> None:
        """Report a last line without a line end."""
        if self._rest:
            self._report(self._rest.decode(errors="replace"))
            self._rest = b""

    def fail(self, error: AtlasFlowError) -> None:
        """Report once that the log cannot be read; the job goes on without it."""
        if self.readable:
            self._on_event(JobStatus(f"the log of the job cannot be read, and is left out: {error.message}"))
        self.readable = False

    def _report(self, line: str) -> None:
        self.kept.append(line)
        event = protocol.parse(line)
        if isinstance(event, ProgramError):
            self.error = event
        elif isinstance(event, Epoch | LogLine):
            self._on_log(event)
            self._on_event(event)


@dataclass(frozen=True)
class Watcher:
    """Polls a job.

    Attributes:
        client: the API calls.
        on_event: receives phases and log lines.
        pause: seconds between two polls; grows to six times that while nothing changes.
        faults: injected at `train.job.poll`.
        sleep: waits for seconds.
        clock: tells seconds.
        alarm: for a job that makes no progress.
    """

    client: "ModelArts"
    on_event: OnEvent
    pause: float
    faults: FaultPlan
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    alarm: Alarm = NO_ALARM

    def watch(self, job: "Job") -> "tuple[Job, LogReader]":
        """Poll until the job is final.

        A log that cannot be read is reported, and does not keep the job from being watched.

        Raises:
            Transient: five polls in a row failed; the job goes on.
            Refused, UserError: the platform refuses to show the job, for example with an expired token; it goes on.
            JobMissing: the job was deleted.
        """
        phase, pause = None, self.pause
        progress = Progress(self.alarm.factor, self.clock)
        log = LogReader(self.on_event, progress.note)
        words = Words(lambda text: self.on_event(JobStatus(text)), self.clock)
        while True:
            self.faults.reach("train.job.poll")
            job = self._show(job, pause)
            changed = self._read_log(job, log)
            if job.phase != phase:
                phase, changed = job.phase, True
                self.on_event(JobStatus(_phase_line(job)))
                words.begin()
            if job.final:
                self._read_late_log(job, log)
                return job, log
            self._check_progress(job, log, progress)
            if changed:
                words.heard()
            words.say(f"ModelArts job {job.name}: still {job.phase}")
            pause = self.pause if changed else min(pause * 1.5, self.pause * _MAX_BACKOFF)
            self.sleep(pause)

    def _check_progress(self, job: "Job", log: LogReader, progress: Progress) -> None:
        """Raise the alarm when a running job makes no new step."""
        if job.phase != Phase.RUNNING or not log.readable:
            progress.pause()
            return
        stall = progress.look()
        if stall is None:
            return
        text = (
            f"the ModelArts job {job.name} has made no new step for {stall.seconds:.0f} s; "
            f"usually one comes in {stall.usual:.0f} s"
        )
        self.on_event(JobStatus(text))
        self.alarm.notify(f"AtlasFlow: {job.name} makes no progress", text)
        if self.alarm.stop:
            self.on_event(JobStatus(f"stopping the ModelArts job {job.name}, as modelarts.stop_stalled is on"))
            self.client.stop(job.id)

    def _show(self, job: "Job", pause: float) -> "Job":
        """Look at the job; a few failures in a row are tolerated."""
        for failures in range(1, _MAX_FAILURES + 1):
            try:
                return self.client.show(job.id)
            except JobMissing:
                raise
            except AtlasFlowError as error:
                if not isinstance(error, Transient) or failures == _MAX_FAILURES:
                    error.hint = "; ".join(filter(None, (error.hint, f"the job {job.name} goes on: {_AGAIN}")))
                    raise
                self.sleep(max(pause, error.after))
        raise AssertionError  # the last failure is raised above

    def _read_log(self, job: "Job", log: LogReader) -> bool:
        if not job.tasks or job.phase in (Phase.CREATING, Phase.PENDING):
            return False
        try:
            preview = self.client.preview(job.id, job.tasks[0])
        except AtlasFlowError as error:
            log.fail(error)
            return False
        return preview is not None and log.feed(preview.content, preview.total)

    def _read_late_log(self, job: "Job", log: LogReader) -> None:
        """Read on after the end: the log of a short job may appear only then, and its last lines may be late."""
        for poll in range(_LATE_LOG_POLLS):
            changed = self._read_log(job, log)
            if not changed and (log.kept or job.running_ms == 0 or not log.readable):
                break
            if poll + 1 < _LATE_LOG_POLLS and not changed:
                self.sleep(self.pause)
        log.close()


def job_error(client: "ModelArts", job: "Job", log: LogReader) -> AtlasFlowError | None:
    """Build the error that a final job's phase means (modelarts.md §1.3); None for success."""
    if job.phase == Phase.COMPLETED:
        return None
    what = f"the ModelArts job {job.name}"
    if job.exit_code == _OUT_OF_MEMORY and log.error is None:
        return Refused(
            f"{what} exited with code {job.exit_code}: most likely the container ran out of memory",
            hint="use a smaller train.batch_size or a larger modelarts.flavor; the same job would fail again, and be "
            "billed",
        )
    if job.phase == Phase.FAILED and (job.exit_code or log.error):
        return protocol.failure(what, job.exit_code or 1, log.error, [*log.kept, job.message])
    events = "".join(f"\n    {event}" for event in _last_events(client, job))
    if job.phase == Phase.TERMINATED:
        return Refused(
            f"{what} was stopped on the platform{events}",
            hint="run again to resume from its checkpoints; modelarts.auto_stop_hours also stops jobs",
        )
    if job.phase == Phase.ABNORMAL:
        return Transient(f"{what} was lost by the platform{events}", hint="run again: it resumes from its checkpoints")
    return Refused(f"{what} ended as {job.phase}{events}", hint="the events above are the platform's own messages")


def _last_events(client: "ModelArts", job: "Job") -> Sequence[str]:
    try:
        return client.events(job.id)[-4:]
    except AtlasFlowError as error:  # how the job ended is known without them
        return (f"(its events cannot be read: {error.message})",)


def _phase_line(job: "Job") -> str:
    started = job.phase == Phase.RUNNING and job.queued_ms
    queued = f", after {(job.queued_ms or 0) / 1000:.0f} s in the queue" if started else ""
    ran = f", after {job.running_ms / 1000:.0f} s" if job.final and job.running_ms else ""
    return f"ModelArts job {job.name}: {job.phase}{queued}{ran}"
