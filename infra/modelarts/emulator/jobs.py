"""The jobs of the ModelArts stand-in: their records, kept in files over a restart, and what the API tells of them."""

import json
import shutil
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from infra.modelarts.codes import FINAL_PHASES, ApiError
from infra.store.atomic import write_text

TASK = "worker-0"
_CHINA = timezone(timedelta(hours=8))


@dataclass
class Record:
    """One job. Times are seconds since 1970; `due` is when the next phase may come.

    Attributes:
        body: the request as it came.
        process: process id and start time of the boot script while it runs.
        runs: each start of the boot script, as the API shows it.
        samples: load of the processor and use of memory, both in percent, one pair a minute.
    """

    id: str
    body: dict[str, Any]
    created: float
    due: float
    phase: str = "Creating"
    secondary: str = "Creating"
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    message: str = ""
    process: dict[str, float] | None = None
    runs: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, str]] = field(default_factory=list)
    samples: list[tuple[float, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.body["metadata"]["name"])

    @property
    def final(self) -> bool:
        """True when the job does not change any more."""
        return self.phase in FINAL_PHASES

    def enter(self, phase: str, secondary: str, text: str, level: str = "Info") -> None:
        """Change the phase, and note an event about it."""
        self.phase, self.secondary = phase, secondary
        self.note(text, level)
        if self.final:
            self.ended = time.time()

    def note(self, text: str, level: str = "Info", source: str = "Job") -> None:
        """Note an event, with the time of China as the API has it (modelarts.md §1.3)."""
        now = datetime.now(_CHINA).isoformat(timespec="seconds")
        self.events.append({"time": now, "level": level, "message": text, "source": source})

    def answer(self) -> dict[str, Any]:
        """The job as the API shows it (modelarts.md §1.3)."""
        until = self.ended or time.time()
        duration = int((until - self.started) * 1000) if self.started is not None else 0
        statuses = [] if self.exit_code is None else [{"task": TASK, "exit_code": self.exit_code}]
        if statuses and self.message:
            statuses[0]["message"] = self.message
        metadata = {
            "workspace_id": "0",
            "description": "",
            **self.body["metadata"],
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
                "running_records": self.runs,
            },
            "algorithm": self.body["algorithm"],
            "spec": self.body["spec"],
        }


class JobBook:
    """All jobs, in `folder/<id>/job.json`. Hold `lock` while reading and changing a record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self._records: dict[str, Record] = {}
        for path in sorted(folder.glob("*/job.json")):
            record = Record(**json.loads(path.read_text(encoding="utf-8")))
            self._records[record.id] = record

    def add(self, body: dict[str, Any], creating_seconds: float) -> Record:
        """A new job in phase Creating.

        Raises:
            ApiError: a job has this name already.
        """
        with self.lock:
            name = body["metadata"]["name"]
            if any(record.name == name for record in self._records.values()):
                raise ApiError("2751", f"the training job name {name} is a duplicate")
            now = time.time()
            record = Record(str(uuid.uuid4()), body, now, now + creating_seconds)
            record.note("the training job is being created")
            self._records[record.id] = record
            self.save(record)
            return record

    def save(self, record: Record) -> None:
        """Write the record to its file."""
        write_text(self.folder / record.id / "job.json", json.dumps(asdict(record), indent=1))

    def get(self, identity: str) -> Record:
        """One job.

        Raises:
            ApiError: there is none.
        """
        with self.lock:
            if identity not in self._records:
                raise ApiError("2775", f"the training job {identity} does not exist")
            return self._records[identity]

    def all(self) -> list[Record]:
        """All jobs, oldest first."""
        with self.lock:
            return sorted(self._records.values(), key=lambda record: record.created)

    def remove(self, record: Record) -> None:
        """Forget a job and everything that its container held."""
        with self.lock:
            del self._records[record.id]
            shutil.rmtree(self.folder / record.id)

    def search(self, query: dict[str, Any]) -> dict[str, Any]:
        """A page of jobs, newest first unless asked otherwise (modelarts.md §1.3).

        Raises:
            ApiError: a filter or a limit that the API does not know.
        """
        offset, limit = query.get("offset", 0), query.get("limit", 50)
        if not isinstance(offset, int) or not isinstance(limit, int) or offset < 0 or not 1 <= limit <= 50:
            raise ApiError("0104", "offset must be 0 or more and limit between 1 and 50")
        filters = query.get("filters") or []
        found = [record for record in self.all() if all(_matches(record, item) for item in filters)]
        if query.get("order", "desc") == "desc":
            found.reverse()
        page = found[offset * limit : (offset + 1) * limit]  # the offset counts pages
        return {
            "total": len(found),
            "count": len(page),
            "limit": limit,
            "offset": offset,
            "sort_by": query.get("sort_by", "create_time"),
            "order": query.get("order", "desc"),
            "group_by": query.get("group_by", ""),
            "workspace_id": query.get("workspace_id", "0"),
            "ai_project": "default-ai-project",
            "items": [record.answer() for record in page],
        }


def _matches(record: Record, item: dict[str, Any]) -> bool:
    key, operator, wanted = item.get("key"), item.get("operator"), item.get("value") or []
    if key == "create_time":
        return _created_between(record, operator, wanted)
    have = {"name": record.name, "phase": record.phase, "id": record.id}
    if key not in have:
        raise ApiError("2807", f"searching by {key} is not supported")
    if operator == "in":
        return have[key] in wanted
    if operator == "not":
        return have[key] not in wanted
    if operator == "like":
        return _any_within(wanted, have[key])
    raise ApiError("2808", f"the operator {operator} is not supported for {key}")


def _created_between(record: Record, operator: Any, wanted: Any) -> bool:
    if operator != "between":
        raise ApiError("2808", f"the operator {operator} is not supported for create_time")
    if len(wanted) != 2 or not all(str(end).isdigit() for end in wanted):
        raise ApiError("2809", "between takes two times in milliseconds")
    return int(wanted[0]) <= record.created * 1000 <= int(wanted[1])


def _any_within(parts: Iterable[str], text: str) -> bool:
    return any(part in text for part in parts)
