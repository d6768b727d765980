"""Write one training to an Aim repository: a separate program, since Aim is heavy to import and warns a lot.

Its argument is a JSON object, which `infra/tracking/repository.py` builds. It prints `run HASH` once Aim has named the
run, and exits with 0 when the run is complete.
"""

import csv
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aim.sdk.repo import Repo
from aim.sdk.run import Run

TRAIN, TEST = {"subset": "train"}, {"subset": "test"}
OF_STEPS = ("loss", "learning_rate")
OF_EPOCHS = ("accuracy", "evaluation_loss")


def main(text: str) -> None:
    """Write the training of a request."""
    request = json.loads(text)
    if request["discard"]:
        _discard(request["repository"], request["discard"])
    repo = Repo.from_path(request["repository"], init=True)
    begun = datetime.fromtimestamp(request["started"], UTC)
    # Aim takes the time of writing for that of the training, and has no other way to say it.
    repo.request_props = partial(repo.request_props, created_at=begun.replace(tzinfo=None))
    # Aim gets neither the environment, which may contain secrets, nor the packages, nor terminal output.
    run = Run(
        repo=repo,
        experiment=request["experiment"],
        system_tracking_interval=None,
        log_system_params=False,
        capture_terminal_logs=False,
    )
    print(f"run {run.hash}", flush=True)
    run.name = request["name"]
    for name, values in request["parameters"].items():
        run[name] = values
    ends = _track_steps(run, Path(request["steps"]))
    _track_epochs(run, Path(request["history"]), ends)
    ended = request["started"] + request["seconds"]
    run._resources.set_run_end_time = lambda: run.meta_run_tree.__setitem__("end_time", ended)
    run.close()


def _discard(repository: str, name: str) -> None:
    """Remove the incomplete run of an earlier writer, if it is still there."""
    repo = Repo.from_path(repository)
    if repo.run_exists(name) and not repo.delete_run(name):
        sys.exit(f"Aim cannot delete its run {name}")


def _track_steps(run: Run, path: Path) -> dict[int, int]:
    """Track every step; returns the last step of each epoch."""
    ends = {}
    for row in _rows(path):
        step, epoch = int(row["step"]), int(row["epoch"])
        for name in OF_STEPS:
            run.track(float(row[name]), name=name, step=step, epoch=epoch, context=TRAIN)
        ends[epoch] = step
    return ends


def _track_epochs(run: Run, path: Path, ends: dict[int, int]) -> None:
    """Track evaluations at the last step of their epoch, so that the curves of both contexts share an axis."""
    for row in _rows(path):
        epoch = int(row["epoch"])
        for name in OF_EPOCHS:
            if row[name]:
                run.track(float(row[name]), name=name, step=ends[epoch], epoch=epoch, context=TEST)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


if __name__ == "__main__":
    main(sys.argv[1])
