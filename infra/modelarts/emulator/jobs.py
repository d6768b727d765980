"""The jobs of the ModelArts stand-in: their records, which survive a restart, and their JSON in the API."""

import json
import shutil
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.offers import flavor_detail
from infra.modelarts.emulator.request import JobRequest, JsonObject, as_object, read_request
from infra.modelarts.phases import FINAL_PHASES, Phase
from infra.store.atomic import write_text

TASK = "worker-0"
_CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True)
class Event:
    """One event of a job, as the API returns it (modelarts.md §1.3)."""

    time: str
    level: str
    message: str
    source: str


@dataclass
class Run:
    """One start of the boot script, as the API returns it; times are seconds since 1970."""

    start_at: int
    start_type: str
    end_at: int | None = None
    end_reason: str = ""
    end_related_task: str = ""


@dataclass(frozen=True)
class ProcessMark:
    """The boot script's process: its id, and its start time, which tells it from a later process of the same id."""

    pid: int
    created: float


@dataclass
class Record:
    """One job. Times are seconds since 1970; `due` is the earliest time of the next phase.

    Attributes:
        process: the boot script while it runs.
        samples: CPU load and memory use, both in percent, one pair a minute.
    """

    id: str
    request: JobRequest
    created: float
    due: float
    phase: Phase = Phase.CREATING
    secondary: str = "Creating"
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    message: str = ""
    process: ProcessMark | None = None
    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    samples: list[tuple[float, float]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The job's name."""
        return self.request.name

    @property
    def final(self) -> bool:
        """True when the job no longer changes."""
        return self.phase in FINAL_PHASES

    def enter(self, phase: Phase, text: str, *, secondary: str = "", level: str = "Info") -> None:
        """Change the phase and add an event."""
        self.phase, self.secondary = phase, secondary or phase.value
        self.add_event(text, level)
        if self.final:
            self.ended = time.time()

    def add_event(self, text: str, level: str = "Info", source: str = "Job") -> None:
        """Add an event, in China's time zone as the API does (modelarts.md §1.3)."""
        now = datetime.now(_CHINA).isoformat(timespec="seconds")
        self.events.append(Event(now, level, text, source))

    def end_run(self, reason: str) -> None:
        """Close the record of the current run of the boot script."""
        if self.runs:
            run = self.runs[-1]
            run.end_at, run.end_reason, run.end_related_task = int(time.time()), reason, TASK

    def _resource(self) -> JsonObject:
        """What the job runs on, with the details of its flavor."""
        resource = as_object(as_object(self.request.document["spec"]).get("resource"))
        return {
            **resource,
            "policy": "regular",
            "flavor_name": flavor_detail(self.request.flavor).get("flavor_name", ""),
            "flavor_detail": flavor_detail(self.request.flavor),
        }

    def to_api(self) -> JsonObject:
        """Return the job as the API returns it (modelarts.md §1.3)."""
        until = self.ended or time.time()
        duration = int((until - self.started) * 1000) if self.started is not None else 0
        failure: JsonObject = {"message": self.message} if self.message else {}
        statuses = [] if self.exit_code is None else [{"task": TASK, "exit_code": self.exit_code, **failure}]
        document = self.request.document
        metadata: JsonObject = {
            "workspace_id": "0",
            "description": "",
            **as_object(document["metadata"]),
            "id": self.id,
            "create_time": int(self.created * 1000),
            "user_name": "stand-in",
        }
        return {
            "kind": "job",
            "metadata": metadata,
            "status": {
                "phase": self.phase,
                "secondary_phase": self.secondary,
                "duration": duration,
                "start_time": int((self.started or 0) * 1000),
                "node_count_metrics": None,
                "tasks": [TASK],
                "task_statuses": statuses,
                "running_records": [{name: value for name, value in asdict(run).items() if value} for run in self.runs],
            },
            "algorithm": document["algorithm"],
            "spec": {**as_object(document["spec"]), "resource": self._resource()},
        }


def _write_record(record: Record) -> str:
    document = asdict(record)
    document["body"] = document.pop("request")["document"]
    return json.dumps(document, indent=1)


def _read_record(text: str) -> Record:
    values: dict[str, Any] = json.loads(text)
    body, process = values.pop("body"), values.pop("process")
    values |= {
        "phase": Phase(values["phase"]),
        "runs": [Run(**run) for run in values["runs"]],
        "events": [Event(**event) for event in values["events"]],
    }
    mark = ProcessMark(int(process["pid"]), process["created"]) if process else None
    return Record(request=read_request(body), process=mark, **values)


class JobBook:
    """All jobs, in `folder/<id>/job.json`. Hold `lock` while reading and changing a record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self._records: dict[str, Record] = {}
        for path in sorted(folder.glob("*/job.json")):
            record = _read_record(path.read_text(encoding="utf-8"))
            self._records[record.id] = record

    def add(self, request: JobRequest, creating_seconds: float) -> Record:
        """Add a job in phase Creating.

        Raises:
            ApiError: a job has this name already.
        """
        with self.lock:
            if any(record.name == request.name for record in self._records.values()):
                raise ApiError(ErrorCode.DUPLICATE_NAME, f"the training job name {request.name} is a duplicate")
            now = time.time()
            record = Record(str(uuid.uuid4()), request, now, now + creating_seconds)
            record.add_event("the training job is being created")
            self._records[record.id] = record
            self.save(record)
            return record

    def save(self, record: Record) -> None:
        """Write the record to its file."""
        write_text(self.folder / record.id / "job.json", _write_record(record))

    def get(self, identity: str) -> Record:
        """Return one job.

        Raises:
            ApiError: there is no such job.
        """
        with self.lock:
            if identity not in self._records:
                raise ApiError(ErrorCode.UNKNOWN_JOB, f"the training job {identity} does not exist")
            return self._records[identity]

    def all(self) -> list[Record]:
        """Return all jobs, oldest first."""
        with self.lock:
            return sorted(self._records.values(), key=lambda record: record.created)

    def remove(self, record: Record) -> None:
        """Delete a job and its folder."""
        with self.lock:
            del self._records[record.id]
            shutil.rmtree(self.folder / record.id)
