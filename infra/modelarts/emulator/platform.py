"""The platform of the ModelArts stand-in: a queue with slots, phases, and one thread for each job that runs."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from infra.errors import AtlasFlowError
from infra.faults import NO_FAULTS, FaultPlan
from infra.modelarts.emulator.container import Container, ContainerFailed, Stores
from infra.modelarts.emulator.jobs import TASK, JobBook, Record
from infra.settings import ModelArtsStandInSettings

_TICK_SECONDS = 0.05
_SYNC_SECONDS = 1.0
_GRACE_SECONDS = 5.0
_SAMPLE_SECONDS = 60.0  # modelarts.md §1.3: a value a minute
_OUT_OF_MEMORY = 137


class Platform:
    """Takes jobs through their phases (modelarts.md §1.3).

    The fault plan may say `stuck` at `modelarts.queue` (a job is about to leave the queue). At `modelarts.run` (its
    boot script has started) it may say `lost` (the node disappears), `preempt` (back into the queue), `fail`
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
        self._doomed: set[str] = set()
        self._working: set[str] = set()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        for record in self.book.all():
            self._recover(record)
        self._clock = threading.Thread(target=self._tick, name="phases", daemon=True)
        self._clock.start()

    def container(self, record: Record) -> Container:
        """The job's piece of the file system."""
        return Container(record, self.book.folder / record.id, self._stores, self.options.arguments)

    def stop(self, record: Record) -> None:
        """Begin to stop a job; a job that has ended stays as it is."""
        with self.book.lock:
            if record.final or record.phase == "Terminating":
                return
            record.enter("Terminating", "Terminating", "the training job is being stopped")
            self.book.save(record)
            process = self._processes.get(record.id)
            if process is not None:
                threading.Thread(target=_end, args=(process,), daemon=True).start()

    def delete(self, record: Record) -> None:
        """Delete a job; one that has not ended is stopped first."""
        self.stop(record)
        with self.book.lock:
            self._doomed.add(record.id)

    def close(self) -> None:
        """Stop every boot script; their jobs start again when the stand-in does."""
        self._closing.set()
        self._clock.join()
        for process in list(self._processes.values()):
            _end(process)
        for thread in self._threads:
            thread.join()

    def _recover(self, record: Record) -> None:
        """Bring a job that ran when the stand-in ended back into the queue, as after the loss of a node."""
        if record.process is not None:
            _end_orphan(record.process)
            record.process = None
        if record.phase == "Running":
            self._requeue(record, "the node was restarted")

    def _requeue(self, record: Record, why: str) -> None:
        self._close_run(record, why)
        record.enter("Pending", "Queuing", f"[{TASK}] {why}; the training job waits to be restarted", "Warning")
        record.due = time.time() + self.options.queue_seconds
        self.book.save(record)

    def _tick(self) -> None:
        while not self._closing.wait(_TICK_SECONDS):
            with self.book.lock:
                for record in self.book.all():
                    self._advance(record)

    def _advance(self, record: Record) -> None:
        """Take one job a phase further if it is time."""
        if record.id in self._working:
            if record.started is not None and time.time() > record.started + _limit_seconds(record):
                record.note("the job's time limit was reached")
                self.stop(record)
        elif record.id in self._doomed and record.final:
            self._doomed.remove(record.id)
            self.book.remove(record)
        elif record.phase == "Terminating":
            record.enter("Terminated", "Terminated", "the training job was stopped")
            self.book.save(record)
        elif record.final or time.time() < record.due:
            return
        elif record.phase == "Creating":
            record.enter("Pending", "Queuing", "the training job is waiting for resources")
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
        record.enter("Running", "Running", "the training job is running")
        kind = "restarted" if record.runs else "init_or_rescheduled"
        record.runs.append({"start_at": int(now), "start_type": kind})
        self.book.save(record)
        self._working.add(record.id)
        thread = threading.Thread(target=self._run, args=(record,), name=record.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, record: Record) -> None:
        """One run of the boot script, from the download of its code to the upload of its outputs."""
        container = self.container(record)
        try:
            container.prepare()
            process = self._start(record, container)
        except (ContainerFailed, AtlasFlowError, OSError) as error:
            self._could_not_start(record, str(error))
            return
        if process is None:
            return
        fault = self._faults.reach("modelarts.run")
        if fault is not None:
            _wait_for_output(container.log, process)
            _end(process)
        trouble = "" if fault in ("lost", "preempt") else self._watch(record, container, process)
        if process.stdin is not None:
            process.stdin.close()
        if self._closing.is_set():
            return
        with self.book.lock:
            del self._processes[record.id]
            record.process = None
            self._finish(record, process.returncode, fault, trouble)
            if record.final and not trouble:
                container.remove()
            self._working.remove(record.id)

    def _start(self, record: Record, container: Container) -> "subprocess.Popen[bytes] | None":
        """Start the boot script, unless the job was stopped while its container was made ready."""
        with self.book.lock:
            if record.phase != "Running" or self._closing.is_set():
                self._working.remove(record.id)
                return None
            process = container.start(self._object_endpoint)
            record.process = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
            record.note(f"[{TASK}] training started", source="Task")
            self._processes[record.id] = process
            self.book.save(record)
            return process

    def _could_not_start(self, record: Record, why: str) -> None:
        with self.book.lock:
            if record.phase == "Running":
                record.message, record.exit_code = why, 1
                self._close_run(record, why)
                record.enter("Failed", "Failed", f"[{TASK}] {why}", "Error")
                self.book.save(record)
            self._working.remove(record.id)

    def _watch(self, record: Record, container: Container, process: "subprocess.Popen[bytes]") -> str:
        """Synchronise outputs while the script runs and once more after it; says what was wrong with the last one."""
        meter = _Meter(process.pid)
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

    def _finish(self, record: Record, code: int, fault: str | None, trouble: str) -> None:
        if fault == "preempt" and record.phase == "Running":
            self._requeue(record, "the node was pre-empted")
            return
        self._close_run(record, "stopped" if record.phase == "Terminating" else f"exit code {code}")
        record.note(f"[{TASK}] exit code {code}", source="Task")
        if record.phase == "Terminating":
            record.enter("Terminated", "Terminated", "the training job was stopped")
        elif fault == "lost":
            record.enter("Abnormal", "Lost", f"[{TASK}] the node was lost", "Error")
        else:
            record.exit_code = {"fail": 1, "memory": _OUT_OF_MEMORY}.get(fault or "", code if code >= 0 else 128 - code)
            record.message = trouble or ("" if record.exit_code == 0 else f"exit code {record.exit_code}")
            if record.exit_code == 0 and not trouble:
                record.enter("Completed", "Completed", "the training job has ended")
            else:
                record.enter("Failed", "Failed", f"[{TASK}] {record.message}", "Error")
        self.book.save(record)

    @staticmethod
    def _close_run(record: Record, why: str) -> None:
        if record.runs:
            record.runs[-1] |= {"end_at": int(time.time()), "end_reason": why, "end_related_task": TASK}


class _Meter:
    """Samples the use of processor and memory, in percent, once a minute."""

    def __init__(self, pid: int) -> None:
        self._next = 0.0
        self._process: psutil.Process | None = None
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(pid)
            self._process.cpu_percent()

    def sample(self) -> Iterator[tuple[float, float]]:
        """A sample if it is time for one and the process lives."""
        if self._process is not None and time.monotonic() >= self._next:
            with contextlib.suppress(psutil.NoSuchProcess):
                yield self._process.cpu_percent(), round(self._process.memory_percent(), 2)
                self._next = time.monotonic() + _SAMPLE_SECONDS


def _limit_seconds(record: Record) -> float:
    limit = record.body["spec"].get("auto_stop")
    return float(limit["duration"]) * 3600 if limit else float("inf")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to the whole group, SIGKILL to what is left of it later."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end_orphan(known: dict[str, float]) -> None:
    """End the group of a boot script that outlived the stand-in; a process id given away anew is left alone."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process = psutil.Process(int(known["pid"]))
        if abs(process.create_time() - known["created"]) < 1:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=_GRACE_SECONDS)


def _wait_for_output(log: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the script has said something, so that a fault meets it at work."""
    while process.poll() is None and not log.stat().st_size:
        time.sleep(_TICK_SECONDS)
