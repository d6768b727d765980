"""What happens to jobs when the stand-in restarts, and when outputs cannot be uploaded."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.errors import Refused
from infra.modelarts.emulator.jobs import ProcessMark
from infra.modelarts.emulator.process import end_orphan
from infra.modelarts.phases import Phase
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeBody
from tests.unit.infra.modelarts.jobs import wait, wait_for_file


def test_a_running_job_restarts_with_the_stand_in(tmp_path: Path, store: doubles.FolderStore, body: MakeBody) -> None:
    with doubles.stand_in(tmp_path / "p", store) as (_, settings), doubles.client_for(settings) as client:
        identity = client.submit(body(pid_file=str(tmp_path / "pid"), wait_for=str(tmp_path / "go"))).id
        wait_for_file(tmp_path / "pid")
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    with doubles.stand_in(tmp_path / "p", store) as (platform, settings), doubles.client_for(settings) as client:
        job = wait(client, identity, Phase.RUNNING)
        client.stop(identity)
        wait(client, identity, Phase.TERMINATED)
        (record,) = platform.book.all()
    assert [run.start_type for run in record.runs] == ["init_or_rescheduled", "restarted"]
    assert record.runs[0].end_reason == "the node was restarted"
    assert job.queued_ms is not None


class FullBucket(doubles.FolderStore):
    """A bucket that accepts no results."""

    def put_bare(self, key: str, source: Path) -> None:
        if "/results/" in key:
            raise Refused("the bucket is full")
        super().put_bare(key, source)


def test_a_job_without_uploaded_outputs_fails(tmp_path: Path, body: MakeBody) -> None:
    full = FullBucket(tmp_path / "objects")
    with doubles.stand_in(tmp_path / "p", full) as (_, settings), doubles.client_for(settings) as client:
        job = wait(client, client.submit(body()).id, Phase.FAILED, Phase.COMPLETED)
        events = client.events(job.id)
    assert job.phase == Phase.FAILED
    assert "the outputs could not be uploaded: the bucket is full" in events[-1]


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process in its own group."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True
    ) as process:
        yield process
        process.kill()


def test_an_orphan_is_ended_but_not_a_later_process_of_its_id(sleeper: "subprocess.Popen[bytes]") -> None:
    created = psutil.Process(sleeper.pid).create_time()
    end_orphan(ProcessMark(sleeper.pid, created - 60))
    assert sleeper.poll() is None
    end_orphan(ProcessMark(sleeper.pid, created))
    assert sleeper.poll() is not None
    end_orphan(ProcessMark(sleeper.pid, created))  # gone already
