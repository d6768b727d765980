"""Follow a ModelArts job to its end: phases, log lines as they appear, and what its end means."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, Refused, Transient
from infra.faults import FaultPlan
from infra.local_training import protocol
from infra.ports.values import Lines

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job

_SLOWEST = 6  # times the first pause
_PATIENCE = 5  # looks in a row that may fail
_LATE_LOG_LOOKS = 5
_KEPT_LINES = 10_000
_OUT_OF_MEMORY = 137  # 128 + SIGKILL, which nobody but the kernel sends into a container


class LogReader:
    """Turns previews of a growing log, of which only the end is shown, into lines, each told once."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._seen = 0
        self._rest = b""
        self.error: Mapping[str, object] | None = None
        self.kept: deque[str] = deque(maxlen=_KEPT_LINES)

    def take(self, content: str, total: int) -> bool:
        """Tell the lines that are new.

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
            self._tell("… (a part of the log went by unseen; the whole one is kept in object storage)")
        self._rest += data[max(0, len(data) - fresh) :] if fresh else b""
        self._seen = total
        *whole, self._rest = self._rest.split(b"\n")
        for line in whole:
            self._tell(line.decode(errors="replace").rstrip("\r"))
        return fresh > 0

    def close(self) -> None:
        """Tell a last line that has no end."""
        if self._rest:
            self._tell(self._rest.decode(errors="replace"))
            self._rest = b""

    def _tell(self, line: str) -> None:
        event = protocol.event(line)
        if event is not None and event["event"] == "error":
            self.error = event
        self.kept.append(line)
        self._lines(line)


def follow(
    client: "ModelArts",
    job: "Job",
    lines: Lines,
    pause: float,
    faults: FaultPlan,
    sleep: Callable[[float], None] = time.sleep,
) -> "tuple[Job, LogReader]":
    """Poll until the job is final.

    Args:
        client: to ask.
        job: as it was last seen.
        lines: receives the phases and the lines of its log.
        pause: seconds between two looks; grows to six times that while nothing happens.
        faults: breaks at `train.job.poll`.
        sleep: waits.

    Raises:
        Transient: the platform did not answer several times in a row; the job goes on.
    """
    reader, phase, wait, failures = LogReader(lines), "", pause, 0
    while True:
        faults.reach("train.job.poll")
        try:
            job = client.show(job.id)
            moved = _read_log(client, job, reader)
            failures = 0
        except Transient as trouble:
            failures += 1
            if failures == _PATIENCE:
                hint = f"the job {job.name} goes on; run again to follow it"
                raise Transient(trouble.message, hint=hint) from trouble
            sleep(wait)
            continue
        if job.phase != phase:
            phase, moved = job.phase, True
            lines(protocol.note(_about(job)))
        if job.final:
            _read_late_log(client, job, reader, pause, sleep)
            return job, reader
        wait = pause if moved else min(wait * 1.5, pause * _SLOWEST)
        sleep(wait)


def outcome(client: "ModelArts", job: "Job", reader: LogReader) -> AtlasFlowError | None:
    """What a final job's phase means; None for success (modelarts.md §1.3)."""
    if job.phase == "Completed":
        return None
    what = f"the ModelArts job {job.name}"
    if job.exit_code == _OUT_OF_MEMORY and reader.error is None:
        return Refused(
            f"{what} ended with exit code {job.exit_code}: most likely the container ran out of memory",
            hint="take a smaller train.batch_size or a larger modelarts.flavor; the same job would end the same, and "
            "be paid for",
        )
    if job.phase == "Failed" and (job.exit_code or reader.error):
        return protocol.failure(what, job.exit_code or 1, reader.error, [*reader.kept, job.message])
    said = "".join(f"\n    {event}" for event in client.events(job.id)[-4:])
    if job.phase == "Terminated":
        return Refused(
            f"{what} was stopped on the platform{said}",
            hint="run again to go on from its checkpoints; modelarts.auto_stop_hours is a limit, too",
        )
    if job.phase == "Abnormal":
        return Transient(f"{what} was lost by the platform{said}", hint="run again: it goes on from its checkpoints")
    return Refused(f"{what} ended as {job.phase}{said}", hint="the events above are the platform's own words")


def _about(job: "Job") -> str:
    queued = f", after {job.queued_ms / 1000:.0f} s in the queue" if job.phase == "Running" and job.queued_ms else ""
    ran = f", after {job.running_ms / 1000:.0f} s" if job.final and job.running_ms else ""
    return f"ModelArts job {job.name}: {job.phase}{queued}{ran}"


def _read_log(client: "ModelArts", job: "Job", reader: LogReader) -> bool:
    if not job.tasks or job.phase in ("Creating", "Pending"):
        return False
    preview = client.preview(job.id, job.tasks[0])
    return preview is not None and reader.take(preview.content, preview.total)


def _read_late_log(
    client: "ModelArts", job: "Job", reader: LogReader, pause: float, sleep: Callable[[float], None]
) -> None:
    """The log of a short job may appear only after its end, and its last lines may come late."""
    for look in range(_LATE_LOG_LOOKS):
        moved = _read_log(client, job, reader)
        if not moved and (reader.kept or job.running_ms == 0):
            break
        if look + 1 < _LATE_LOG_LOOKS and not moved:
            sleep(pause)
    reader.close()
