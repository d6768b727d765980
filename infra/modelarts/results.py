"""Fetch what a ModelArts job has left in object storage: results, checked against their digests, and its log."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from infra.errors import Corrupt, UserError
from infra.faults import FaultPlan
from infra.modelarts import addresses
from infra.modelarts.job import Job
from infra.ports.storage import ObjectStore

DIGESTS = "digests.json"
"""Written last by `models/main.py`: path of each result to its SHA-256. The platform keeps no digests of its own."""


def listed(store: ObjectStore, remote: Job) -> dict[str, str]:
    """Path in the results to object key; what an earlier attempt left under the same prefix is among it.

    Raises:
        UserError: the job writes to another bucket than ours.
    """
    bucket, prefix = addresses.split(remote.output)
    if bucket != store.bucket:
        raise UserError(
            f"the ModelArts job {remote.name} writes to the bucket {bucket}, not to {store.bucket}",
            hint=f"set obs.bucket={bucket}, or delete the job",
        )
    keys = [key for key, _ in store.list(f"{prefix}/") if not key.endswith("/")]
    return {key.removeprefix(f"{prefix}/"): key for key in keys}


def fetch(store: ObjectStore, remote: Job, folder: Path, faults: FaultPlan) -> None:
    """Fetch the results of a completed job into a folder: those that its list of digests names, and only those.

    Raises:
        Corrupt: there is no such list, a result is missing, or its bytes are others.
        UserError: the job writes to another bucket than ours.
    """
    keys = listed(store, remote)
    if DIGESTS not in keys:
        raise Corrupt(
            f"the ModelArts job {remote.name} completed, but wrote no {DIGESTS} to {remote.output}", hint=_AGAIN
        )
    store.get(keys[DIGESTS], folder / DIGESTS)
    for path, sha256 in _digests(folder / DIGESTS, keys[DIGESTS]).items():
        if path not in keys:
            raise Corrupt(f"the ModelArts job {remote.name} completed, but there is no {path} at {remote.output}")
        faults.reach("train.job.fetch")
        store.get(keys[path], folder / path, sha256)


def fetch_log(store: ObjectStore, exported: str, target: Path, seen: Iterable[str]) -> None:
    """Fetch the log that the platform exported; where it did not, keep the lines that we have seen."""
    if store.head(exported) is not None:
        store.get(exported, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in seen), encoding="utf-8")


_AGAIN = "`--force train` trains anew"


def _digests(file: Path, key: str) -> Mapping[str, str]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Corrupt(f"the object {key} is damaged: {error}", hint=_AGAIN) from error
    if not isinstance(value, dict) or not all(isinstance(sha256, str) for sha256 in value.values()):
        raise Corrupt(f"the object {key} is no list of digests", hint=_AGAIN)
    for path in map(PurePosixPath, value):
        if path.is_absolute() or ".." in path.parts:
            raise Corrupt(f"the result {path}, which {key} names, would leave the folder of results")
    return value
