"""Records of runs: what each stage did, which key it used, what failed. `home/runs/<id>.json`."""

import calendar
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from infra.store.atomic import write_text
from infra.store.bookkeeping import read_json

Outcome = Literal["ran", "reused", "failed"]
_STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class StageRecord:
    """The outcome of one stage in one run."""

    stage: str
    key: str
    outcome: Outcome
    reason: str
    seconds: float
    note: str = ""


@dataclass
class RunRecord:
    """One run, saved again after each stage.

    Attributes:
        id: unique on this machine, and sorted by time.
        started: in seconds since 1970.
        profile: of its settings.
        stages: what became of each so far.
        flow_run: id of its Prefect flow run.
        settings: those that override the profile; never secrets.
    """

    id: str
    started: float
    profile: str
    stages: list[StageRecord] = field(default_factory=list)
    flow_run: str = ""
    settings: dict[str, str] = field(default_factory=dict)


class Runs:
    """All run records of one home; `now` is the clock, in seconds since 1970."""

    def __init__(self, home: Path, now: Callable[[], float] = time.time) -> None:
        self.folder = home / "runs"
        self._now = now

    def begin(self, profile: str) -> RunRecord:
        """Return a new record, with an id that is unique on this machine.

        Ids sort in the order of the runs, also when the clock was set back in between.
        """
        started = self._now()
        moment = max(started, self._last_moment() + 0.001)
        milliseconds = round(moment * 1000)
        stamp = time.strftime(_STAMP, time.gmtime(milliseconds // 1000))
        return RunRecord(f"{stamp}-{milliseconds % 1000:03d}-{os.getpid()}", started, profile)

    def save(self, record: RunRecord) -> None:
        """Write the record whole or not at all."""
        write_text(self._path(record.id), json.dumps(asdict(record), indent=1, ensure_ascii=False))

    def count(self) -> int:
        """Return how many runs there were."""
        return sum(1 for _ in self.folder.glob("*.json"))

    def latest(self, count: int | None = None) -> list[RunRecord]:
        """Return the last `count` runs (by default all), newest first."""
        found = (record for path in self._newest_first() if (record := read_json(path, _record)) is not None)
        return list(islice(found, count))

    def of_process(self, pid: int) -> RunRecord | None:
        """Return the newest run that a process with this id began, however many others have begun since."""
        paths = sorted(self.folder.glob(f"*-{pid}.json"), reverse=True)
        return next((record for path in paths if (record := read_json(path, _record)) is not None), None)

    def last_write(self, record: RunRecord) -> float:
        """Return when a record was saved last, in seconds since 1970 by the clock of that time."""
        return self._path(record.id).stat().st_mtime

    def last_of(self, stage: str) -> StageRecord | None:
        """Return the record of a stage in the last run that reached it."""
        records = (read_json(path, _record) for path in self._newest_first())
        return next((item for record in records if record for item in record.stages if item.stage == stage), None)

    def _path(self, identity: str) -> Path:
        return self.folder / f"{identity}.json"

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"), reverse=True)

    def _last_moment(self) -> float:
        """Seconds since 1970 in the id that sorts last; 0 when there is none."""
        stamp, _, rest = max((path.stem for path in self.folder.glob("*.json")), default="").partition("-")
        try:
            return calendar.timegm(time.strptime(stamp, _STAMP)) + int(rest.partition("-")[0]) / 1000
        except ValueError:
            return 0.0


def _record(body: Any) -> RunRecord:
    return RunRecord(stages=[StageRecord(**entry) for entry in body.pop("stages")], **body)
