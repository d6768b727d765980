"""Records of runs: what each stage did, which key it used, what failed. `home/runs/<id>.json`."""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from infra.store.atomic import write_text

Outcome = Literal["ran", "reused", "failed"]


@dataclass(frozen=True)
class StageRecord:
    """What became of one stage in one run."""

    stage: str
    key: str
    outcome: Outcome
    reason: str
    seconds: float
    note: str = ""


@dataclass
class RunRecord:
    """One run, written anew after each stage; `flow_run` is the id of its Prefect flow run."""

    id: str
    started: float
    profile: str
    stages: list[StageRecord] = field(default_factory=list)
    flow_run: str = ""


class Runs:
    """All run records of one home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "runs"

    def begin(self, profile: str) -> RunRecord:
        """A record whose id sorts by time and is unique on this machine."""
        now = time.time()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
        return RunRecord(f"{stamp}-{int(now * 1000) % 1000:03d}-{os.getpid()}", now, profile)

    def save(self, record: RunRecord) -> None:
        """Write the record whole or not at all."""
        write_text(self.folder / f"{record.id}.json", json.dumps(asdict(record), indent=1, ensure_ascii=False))

    def count(self) -> int:
        """How many runs there were."""
        return sum(1 for _ in self.folder.glob("*.json"))

    def latest(self, count: int) -> list[RunRecord]:
        """The last `count` runs, newest first."""
        paths = sorted(self.folder.glob("*.json"), reverse=True)[:count]
        return [_parse(json.loads(path.read_text(encoding="utf-8"))) for path in paths]

    def last_of(self, stage: str) -> StageRecord | None:
        """What became of a stage the last time that a run reached it."""
        for path in sorted(self.folder.glob("*.json"), reverse=True):
            for record in _parse(json.loads(path.read_text(encoding="utf-8"))).stages:
                if record.stage == stage:
                    return record
        return None


def _parse(body: dict[str, Any]) -> RunRecord:
    stages = [StageRecord(**entry) for entry in body.pop("stages")]
    return RunRecord(stages=stages, **body)
