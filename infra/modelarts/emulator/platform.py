"""The platform of the ModelArts stand-in: a queue with slots, phases, and one thread for each running job."""

import contextlib
import subprocess
import threading
import time
from pathlib import Path

import psutil

from infra.errors import AtlasFlowError
from infra.faults import NO_FAULTS, FaultPlan
from infra.modelarts.emulator.container import Container, ContainerFailed, Stores
from infra.modelarts.emulator.jobs import TASK, JobBook, ProcessMark, Record, Run
from infra.modelarts.emulator.process import Meter, end_group, end_orphan, wait_for_output
from infra.modelarts.phases import Phase
from infra.settings import ModelArtsStandInSettings

_TICK_SECONDS = 0.05
_SYNC_SECONDS = 1.0
_OUT_OF_MEMORY = 137


class Platform:
    """Takes jobs through their phases (modelarts.md §1.3).

    The fault plan can inject `stuck` at `modelarts.queue` (a job is about to leave the queue). At `modelarts.run`
    (its boot script has started) it can inject `lost` (the node disappears), `preempt` (back into the queue), `fail`
    (exit code 1) or `memory` (exit code 137).
    """

    def __init__(
        self,
        folder: Path,
        stores: Stores,
        object_endpoint: str,
        options: ModelArtsStandInSettings,
        faults: FaultPlan = NO_FAULTS,
    ) -> None:
        self.book = JobBook(folder)
        self.options = options
        self._stores = stores
        self._object_endpoint = object_endpoint
        self._faults = faults
        self._stuck: set[str] = set()
        self._deleted: set[str] = set()
        self._working: set[str] = set()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        for record in self.book.all():
            self._recover(record)
        self._clock = threading.Thread(target=self._tick, name="phases", daemon=True)
        self._clock.start()

    def container(self, record: Record) -> Container:
        """Return the container of a job."""
        return Container(
            record,
            self.book.folder / record.id,
            self._stores,
            self.options.arguments,
            compatible=self.options.compatibility == "1.x",
        )

    def stop(self, record: Record) -> None:
        """Begin to stop a job; a final one stays as it is."""
        with self.book.lock:
            if record.final or record.phase == Phase.TERMINATING:
                return
            record.enter(Phase.TERMINATING, "the training job is being stopped")
            self.book.save(record)
            process = self._processes.get(record.id)
            if process is not None:
                threading.Thread(target=end_group, args=(process,), daemon=True).start()

    def delete(self, record: Record) -> None:
        """Delete a job; an active one is stopped first."""
        self.stop(record)
        with self.book.lock:
            self._deleted.add(record.id)

    def close(self) -> None:
        """Stop every boot script; their jobs start again with the stand-in."""
        self._closing.set()
        self._clock.join()
        for process in list(self._processes.values()):
            end_group(process)
        for thread in self._threads:
            thread.join()

    def _recover(self, record: Record) -> None:
        """Requeue a job that ran when the stand-in ended, as after the loss of a node."""
        if record.process is not None:
            end_orphan(record.process)
            record.process = None
        if record.phase == Phase.RUNNING:
            self._requeue(record, "the node was restarted")

    def _requeue(self, record: Record, reason: str) -> None:
        record.end_run(reason)
        text = f"[{TASK}] {reason}; the training job waits to be restarted"
        record.enter(Phase.PENDING, text, secondary="Queuing", level="Warning")
        record.due = time.time() + self.options.queue_seconds
        self.book.save(record)

    def _tick(self) -> None:
        while not self._closing.wait(_TICK_SECONDS):
            with self.book.lock:
                for record in self.book.all():
                    self._advance(record)

    def _advance(self, record: Record) -> None:
        """Move one job to its next phase if it is due."""
        if record.id in self._working:
            if record.phase == Phase.RUNNING and time.time() > (record.started or 0) + _limit_seconds(record):
                record.add_event("the job's time limit was reached")
                self.stop(record)
        elif record.id in self._deleted and record.final:
            self._deleted.remove(record.id)
            self.book.remove(record)
        elif record.phase == Phase.TERMINATING:
            record.enter(Phase.TERMINATED, "the training job was stopped")
            self.book.save(record)
        elif record.final or time.time() < record.due:
            return
        elif record.phase == Phase.CREATING:
            record.enter(Phase.PENDING, "the training job is waiting for resources", secondary="Queuing")
            record.due = time.time() + self.options.queue_seconds
            self.book.save(record)
        elif record.id not in self._stuck and len(self._working) < self.options.slots:
            self._leave_queue(record)

    def _leave_queue(self, record: Record) -> None:
        if self._faults.reach("modelarts.queue") == "stuck":
            self._stuck.add(record.id)
            return
        now = time.time()
        record.started = record.started or now
        record.enter(Phase.RUNNING, "the training job is running")
        kind = "restarted" if record.runs else "init_or_rescheduled"
        record.runs.append(Run(int(now), kind))
        self.book.save(record)
        self._working.add(record.id)
        thread = threading.Thread(target=self._run, args=(record,), name=record.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, record: Record) -> None:
        """Run the boot script once, from the download of its code to the upload of its outputs."""
        container = self.container(record)
        try:
            container.prepare()
            process = self._start(record, container)
        except (ContainerFailed, AtlasFlowError, OSError) as error:
            self._fail_start(record, str(error))
            return
        if process is None:
            return
        fault = self._faults.reach("modelarts.run")
        if fault is not None:
            wait_for_output(container.log, process)
            end_group(process)
        upload_error = "" if fault in ("lost", "preempt") else self._watch(record, container, process)
        if process.stdin is not None:
            process.stdin.close()
        if self._closing.is_set():
            return
        with self.book.lock:
            del self._processes[record.id]
            record.process = None
            self._finish(record, process.returncode, fault, upload_error)
            if record.final and not upload_error:
                container.remove()
            self._working.remove(record.id)

    def _start(self, record: Record, container: Container) -> "subprocess.Popen[bytes] | None":
        """Start the boot script, unless the job was stopped during the preparation of its container."""
        with self.book.lock:
            if record.phase != Phase.RUNNING or self._closing.is_set():
                self._working.remove(record.id)
                return None
            process = container.start(self._object_endpoint)
            record.process = ProcessMark(process.pid, psutil.Process(process.pid).create_time())
            record.add_event(f"[{TASK}] training started", source="Task")
            self._processes[record.id] = process
            self.book.save(record)
            return process

    def _fail_start(self, record: Record, reason: str) -> None:
        with self.book.lock:
            if record.phase == Phase.RUNNING:
                record.message, record.exit_code = reason, 1
                record.end_run(reason)
                record.enter(Phase.FAILED, f"[{TASK}] {reason}", level="Error")
                self.book.save(record)
            self._working.remove(record.id)

    def _watch(self, record: Record, container: Container, process: "subprocess.Popen[bytes]") -> str:
        """Upload outputs while the script runs and once more after it; return the error of the last upload, if any."""
        meter = Meter(process.pid)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SYNC_SECONDS)
            ended = process.returncode is not None
            if self._closing.is_set():
                return ""
            record.samples.extend(meter.sample())
            try:
                container.push_outputs(everything=ended)
                if ended:
                    container.push_log()
                    return ""
            except AtlasFlowError as error:  # while it runs, the next round tries again
                if ended:
                    return f"the outputs could not be uploaded: {error.message}"

    def _finish(self, record: Record, code: int, fault: str | None, upload_error: str) -> None:
        if fault == "preempt" and record.phase == Phase.RUNNING:
            self._requeue(record, "the node was pre-empted")
            return
        stopped = record.phase == Phase.TERMINATING
        record.end_run("stopped" if stopped else f"exit code {code}")
        record.add_event(f"[{TASK}] exit code {code}", source="Task")
        if stopped:
            record.enter(Phase.TERMINATED, "the training job was stopped")
        elif fault == "lost":
            record.enter(Phase.ABNORMAL, f"[{TASK}] the node was lost", secondary="Lost", level="Error")
        else:
            record.exit_code = {"fail": 1, "memory": _OUT_OF_MEMORY}.get(fault or "", code if code >= 0 else 128 - code)
            record.message = upload_error or ("" if record.exit_code == 0 else f"exit code {record.exit_code}")
            if record.exit_code == 0 and not upload_error:
                record.enter(Phase.COMPLETED, "the training job has ended")
            else:
                record.enter(Phase.FAILED, f"[{TASK}] {record.message}", level="Error")
        self.book.save(record)


def _limit_seconds(record: Record) -> float:
    hours = record.request.limit_hours
    return float("inf") if hours is None else hours * 3600.0
