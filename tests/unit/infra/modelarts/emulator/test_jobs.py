import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.jobs import TASK, JobBook, ProcessMark, Record, Run
from infra.modelarts.emulator.request import JobRequest, read_request
from infra.modelarts.emulator.search import search
from infra.modelarts.phases import Phase
from tests.unit.infra.modelarts.conftest import Json, MakeBody


@pytest.fixture
def request_(body: MakeBody) -> JobRequest:
    return read_request(body())


@pytest.fixture
def book(tmp_path: Path) -> JobBook:
    return JobBook(tmp_path)


def test_a_record_survives_a_restart(book: JobBook, request_: JobRequest) -> None:
    record = book.add(request_, 0)
    record.enter(Phase.RUNNING, "it runs")
    record.runs.append(Run(1, "init_or_rescheduled"))
    record.end_run("exit code 0")
    record.process = ProcessMark(12, 3.5)
    record.request = record.request.with_description("another")
    book.save(record)
    (read,) = JobBook(book.folder).all()
    assert read == replace(record, samples=[])
    assert read.to_api() == record.to_api()


def test_a_record_of_an_earlier_version_is_read(book: JobBook, body: MakeBody) -> None:
    made = body()
    (book.folder / "1").mkdir()
    run = {"start_at": 1, "start_type": "restarted", "end_at": 2, "end_reason": "stopped", "end_related_task": TASK}
    document = {
        "id": "1",
        "body": {name: made[name] for name in ("metadata", "algorithm", "spec")},
        "created": 1.0,
        "due": 2.0,
        "phase": "Failed",
        "secondary": "Failed",
        "started": 1.0,
        "ended": 4.0,
        "exit_code": 1,
        "message": "bad",
        "process": None,
        "runs": [run],
        "events": [{"time": "t", "level": "Info", "message": "m", "source": "Job"}],
        "samples": [[1.0, 2.0]],
    }
    (book.folder / "1" / "job.json").write_text(json.dumps(document))
    (record,) = JobBook(book.folder).all()
    status = record.to_api()["status"]
    assert isinstance(status, dict)
    assert (status["phase"], status["duration"], status["running_records"]) == ("Failed", 3000, [run])
    assert status["task_statuses"] == [{"task": TASK, "exit_code": 1, "message": "bad"}]


def found(records: list[Record], **condition: object) -> list[str]:
    """Search with one filter; return the ids."""
    items = search(records, {"filters": [condition], "order": "asc"})["items"]
    assert isinstance(items, list)
    return [item["metadata"]["id"] for item in items]


def records_of(request: JobRequest) -> list[Record]:
    phases = (Phase.FAILED, Phase.RUNNING)
    return [Record(f"{number}", request, float(number), 0, phase) for number, phase in enumerate(phases)]


def test_a_search_has_operators(request_: JobRequest) -> None:
    records = records_of(request_)
    assert found(records, key="phase", operator="in", value=["Failed", "Completed"]) == ["0"]
    assert found(records, key="phase", operator="not", value=["Failed"]) == ["1"]
    assert found(records, key="id", operator="like", value=["1"]) == ["1"]
    assert found(records, key="create_time", operator="between", value=["500", "1500"]) == ["1"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"filters": [{"key": "user", "operator": "in", "value": []}]}, ErrorCode.UNSUPPORTED_SEARCH_KEY),
        ({"filters": [{"key": "name", "operator": "between", "value": []}]}, ErrorCode.UNSUPPORTED_OPERATOR),
        ({"filters": ["name"]}, ErrorCode.UNSUPPORTED_SEARCH_KEY),
        ({"limit": 51}, ErrorCode.INVALID_PARAMETER),
        ({"offset": "first"}, ErrorCode.INVALID_PARAMETER),
    ],
)
def test_an_unsupported_search_is_refused(query: Json, code: ErrorCode) -> None:
    with pytest.raises(ApiError) as caught:
        search([], query)
    assert caught.value.code == code
