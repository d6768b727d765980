"""What a ModelArts job will be: its name, its body, what it may cost. Nothing here asks the platform."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from infra.errors import UserError
from infra.modelarts import addresses
from infra.ports.training import TrainJob
from infra.settings import ModelArtsSettings
from infra.store.digests import canonical

PREFIX = "atlasflow-"
"""Every job of ours has a name that starts with this."""

SPEC_VARIABLE = "ATLASFLOW_SPEC"
"""Carries the specification: JSON would not survive a shell that builds the boot command (modelarts.md §1.6)."""

CHANNELS = ("data_url", "train_url", "resume_url", "pretrain_url")
"""Arguments of the boot script that the platform fills with folders."""

_KEY_DIGITS = 24
_NAME = re.compile(rf"{PREFIX}(?P<key>[0-9a-f]{{{_KEY_DIGITS}}})-(?P<attempt>[0-9]+)")


@dataclass(frozen=True)
class Place:
    """Where our things lie in object storage: a bucket and the prefix of our keys."""

    bucket: str
    prefix: str

    def results(self, key: str) -> str:
        """Key prefix under which the first attempt at a stage key writes its results, and others that go on with it."""
        return f"{self.prefix.strip('/')}/jobs/{key[:_KEY_DIGITS]}/results"

    def pretrained(self, sha256: str) -> str:
        """Key prefix of the folder that holds the checkpoint which a training starts from, and nothing else."""
        return f"{self.prefix.strip('/')}/pretrained/{sha256[:_KEY_DIGITS]}"

    def logs(self, folder: str) -> str:
        """Key prefix of exported logs."""
        return f"{self.prefix.strip('/')}/{folder.strip('/')}"


@dataclass(frozen=True)
class Attempt:
    """One job for a stage key.

    Attributes:
        number: counts the jobs for this work, from 1.
        results: key prefix under which it writes.
        resume: earlier attempts wrote something there: it becomes the input `resume_url`, since a new container starts
            empty.
        installation: which asks for it.
    """

    number: int
    results: str
    resume: bool
    installation: str


def stem(key: str) -> str:
    """What the names of all attempts at one stage key have in common."""
    return f"{PREFIX}{key[:_KEY_DIGITS]}-"


def name(key: str, attempt: int) -> str:
    """The job's name; a second attempt at the same work needs another one, as names are unique (code 2751)."""
    return f"{stem(key)}{attempt}"


def attempt_of(job_name: str) -> int:
    """The number of the attempt; 0 for a name that is not ours."""
    match = _NAME.fullmatch(job_name)
    return int(match["attempt"]) if match else 0


def description(key: str, installation: str) -> str:
    """What a job says of itself: which work it does, and for whom."""
    return f"AtlasFlow, stage key {key[:_KEY_DIGITS]}, {_by(installation)}"


def is_of(text: str, installation: str) -> bool:
    """True when a job's description names this installation."""
    return text.endswith(_by(installation))


def _by(installation: str) -> str:
    return f"installation {installation}"


def body(job: TrainJob, attempt: Attempt, settings: ModelArtsSettings, place: Place) -> dict[str, object]:
    """The body of the job's creation (docs/reference/modelarts.md §1.2).

    Args:
        job: the work.
        attempt: which attempt at it.
        settings: of ModelArts.
        place: where logs go, and the checkpoint to start from lies.

    Raises:
        UserError: engine or flavor are not set, data or code have no address, or a parameter has a name of ours.
    """
    for setting, value in (("modelarts.engine", settings.engine), ("modelarts.flavor", settings.flavor)):
        if not value:
            raise UserError(f"{setting} is not set", hint="`doctor` lists what your region offers")
    if not job.data_address or not job.code_address:
        raise UserError("a ModelArts job needs data and code in object storage", hint="run the upload stage first")
    code = job.code_address.rstrip("/")
    results = addresses.folder(place.bucket, attempt.results)
    inputs = [_channel("data_url", job.data_address)]
    if job.pretrained is not None:
        inputs.append(_channel("pretrain_url", addresses.folder(place.bucket, place.pretrained(job.pretrained.sha256))))
    if attempt.resume:
        inputs.append(_channel("resume_url", results))
    return {
        "kind": "job",
        "metadata": {
            "name": name(job.key, attempt.number),
            "workspace_id": settings.workspace,
            "description": description(job.key, attempt.installation),
        },
        "algorithm": {
            "code_dir": f"{code}/",
            "boot_file": f"{code}/main.py",
            "engine": {"engine_id": settings.engine},
            "inputs": inputs,
            "outputs": [_channel("train_url", results)],
            "parameters": _parameters(settings),
            "environments": settings.environment | {SPEC_VARIABLE: canonical(job.spec)},
        },
        "spec": {
            "resource": {"flavor_id": settings.flavor, "node_count": settings.node_count},
            "log_export_path": {"obs_url": addresses.folder(place.bucket, place.logs(settings.logs))},
            "auto_stop": {"time_unit": "HOURS", "duration": settings.auto_stop_hours},
        },
    }


def most(settings: ModelArtsSettings) -> float | None:
    """The most that a job can cost, as it is stopped after `auto_stop_hours`; None when its flavor has no price."""
    price = settings.prices.get(settings.flavor)
    return None if price is None else price * settings.node_count * settings.auto_stop_hours


def check_cost(settings: ModelArtsSettings) -> None:
    """Refuse a job that could cost more than the cap.

    Raises:
        UserError: it could, or nobody knows.
    """
    if settings.cost_cap is None:
        return
    cost = most(settings)
    if cost is None:
        raise UserError(
            f"there is a cost cap, but the flavor {settings.flavor} has no price",
            hint=f'set its price an hour: modelarts.prices = {{ "{settings.flavor}" = … }}',
        )
    if cost > settings.cost_cap:
        raise UserError(
            f"the job could cost {cost:.2f}, more than modelarts.cost_cap {settings.cost_cap:.2f} "
            f"({settings.auto_stop_hours} h × {settings.node_count} × {settings.prices[settings.flavor]:.2f})",
            hint="lower modelarts.auto_stop_hours, take a cheaper flavor, or raise the cap",
        )


def _parameters(settings: ModelArtsSettings) -> list[dict[str, str]]:
    taken = sorted({*CHANNELS, "spec"} & set(settings.parameters))
    if taken:
        raise UserError(
            f"modelarts.parameters has {', '.join(taken)}, which AtlasFlow gives itself",
            hint="choose other names; what is trained is set under [train]",
        )
    return [{"name": item, "value": value} for item, value in settings.parameters.items()]


def _channel(channel: str, address: str) -> Mapping[str, object]:
    return {"name": channel, "access_method": "parameter", "remote": {"obs": {"obs_url": f"{address.rstrip('/')}/"}}}
