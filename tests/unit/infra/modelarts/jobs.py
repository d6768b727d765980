"""Jobs for the stand-in: their attempts, and waiting for a phase."""

import time
from pathlib import Path

from infra.modelarts import plan
from infra.modelarts.client import ModelArts
from infra.modelarts.job import Job
from infra.modelarts.phases import Phase

KEY = "ab" * 32
PATHS = plan.JobPaths("bucket", "af")


def numbered(attempt: int) -> plan.Attempt:
    """Plan an attempt that starts anew."""
    return plan.Attempt(attempt, PATHS.results(KEY), resume=False, installation="here")


def wait(client: ModelArts, identity: str, *phases: Phase) -> Job:
    """Poll until the job is in one of the phases."""
    deadline = time.monotonic() + 60
    while (job := client.show(identity)).phase not in phases:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def wait_for_file(path: Path) -> str:
    """Wait until a file exists; return its text."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)
    return path.read_text()
