"""Fetch what a ModelArts job left in object storage: results, verified against their digests, and its log."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from infra.errors import AtlasFlowError, Corrupt, UserError
from infra.faults import FaultPlan
from infra.modelarts.job import Job
from infra.names import check_name
from infra.obs.address import ObjectAddress
from infra.ports.storage import ObjectStore

DIGESTS = "digests.json"
"""Written last by `models/main.py`: path of each result to its SHA-256. The platform stores no digests."""

_TRAIN_ANEW = "look at the folder in the console; `--force train` trains anew, and is billed"
_LATE_LOOKS = 7
_MAX_BACKOFF = 6  # times the first pause

Result = TypeVar("Result")


def outlast(
    look: Callable[[], Result], pause: float, sleep: Callable[[float], None], report: Callable[[str], None]
) -> Result:
    """Call `look` until it finds whole outputs: the platform may upload them after the job has ended.

    Args:
        look: fetches or lists what the job wrote.
        pause: seconds before the second look; grows to six times that.
        sleep: waits for seconds.
        report: receives why it waits.

    Raises:
        Corrupt: the outputs are still missing or damaged in the end.
    """
    for number in range(_LATE_LOOKS):
        try:
            return look()
        except Corrupt as error:
            report(f"{error.message}; looking again, as the platform may still be uploading")
            sleep(min(pause * 1.5**number, pause * _MAX_BACKOFF))
    return look()


def list_results(store: ObjectStore, job: Job) -> dict[str, str]:
    """Map the path of each result to its object key; includes what earlier attempts left under the same prefix.

    Raises:
        UserError: the job writes to another bucket.
    """
    bucket, prefix = ObjectAddress.parse_folder(job.output).parts
    if bucket != store.bucket:
        raise UserError(
            f"the ModelArts job {job.name} writes to the bucket {bucket}, not to {store.bucket}",
            hint=f"set obs.bucket={bucket}, or delete the job",
        )
    keys = [key for key, _ in store.list(f"{prefix}/") if not key.endswith("/")]
    return {key.removeprefix(f"{prefix}/"): key for key in keys}


def fetch_results(store: ObjectStore, job: Job, folder: Path, faults: FaultPlan) -> None:
    """Fetch the results that the list of digests of a completed job names, and only those.

    Raises:
        Corrupt: the list or a result is missing or damaged.
        UserError: the job writes to another bucket.
    """
    keys = list_results(store, job)
    if DIGESTS not in keys:
        raise Corrupt(
            f"the ModelArts job {job.name} completed, but wrote no {DIGESTS} to {job.output}", hint=_TRAIN_ANEW
        )
    store.get(keys[DIGESTS], folder / DIGESTS)
    for path, sha256 in _read_digests(folder / DIGESTS, keys[DIGESTS]).items():
        if path not in keys:
            raise Corrupt(f"the ModelArts job {job.name} completed, but {job.output} has no {path}", hint=_TRAIN_ANEW)
        faults.reach("train.job.fetch")
        store.get(keys[path], folder / path, sha256)


def fetch_log(store: ObjectStore, exported: str, target: Path, lines: Iterable[str]) -> str:
    """Fetch the log that the platform exported; without one, write the lines that were read from previews.

    Returns:
        Why the exported log cannot be read; empty when it can, or when there is none.
    """
    problem = ""
    try:
        if store.head(exported) is not None:
            store.get(exported, target)
            return ""
    except AtlasFlowError as error:  # the results are what was paid for
        problem = error.message
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return problem


def _read_digests(file: Path, key: str) -> Mapping[str, str]:
    try:
        digests = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Corrupt(f"the object {key} is damaged: {error}", hint=_TRAIN_ANEW) from error
    if not isinstance(digests, dict) or not all(isinstance(sha256, str) for sha256 in digests.values()):
        raise Corrupt(f"the object {key} is not a list of digests", hint=_TRAIN_ANEW)
    for path in digests:
        check_name(path, f"the object {key}", hint=_TRAIN_ANEW)
    return digests
