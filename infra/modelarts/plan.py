"""Plan a ModelArts job: its name and its request body. Makes no requests."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from infra.errors import UserError
from infra.obs.address import ObjectAddress
from infra.ports.training import TrainJob
from infra.settings import ModelArtsSettings, ModelArtsVolume
from infra.store.digests import canonical

PREFIX = "atlasflow-"
"""The names of all AtlasFlow jobs start with this."""

SPEC_VARIABLE = "ATLASFLOW_SPEC"
"""Carries the specification: JSON would not survive a shell that builds the boot command (modelarts.md §1.6)."""

CHANNELS = ("data_url", "train_url", "resume_url", "pretrain_url")
"""Arguments of the boot script that the platform fills with folders."""

_KEY_DIGITS = 24
_NAME = re.compile(rf"{PREFIX}(?P<key>[0-9a-f]{{{_KEY_DIGITS}}})-(?P<attempt>[0-9]+)")


@dataclass(frozen=True)
class JobPaths:
    """Where jobs read and write in object storage: a bucket and a key prefix."""

    bucket: str
    prefix: str

    def results(self, key: str) -> str:
        """Return the key prefix for the results of a stage key's first attempt, and of attempts that resume it."""
        return f"{self.prefix.strip('/')}/jobs/{key[:_KEY_DIGITS]}/results"

    def pretrained(self, sha256: str) -> str:
        """Return the key prefix of a folder that holds one pretrained checkpoint and nothing else."""
        return f"{self.prefix.strip('/')}/pretrained/{sha256[:_KEY_DIGITS]}"

    def logs(self, folder: str) -> str:
        """Return the key prefix of exported logs."""
        return f"{self.prefix.strip('/')}/{folder.strip('/')}"


@dataclass(frozen=True)
class Attempt:
    """One of the jobs for a stage key.

    Attributes:
        number: of the attempt, from 1.
        results: key prefix of its results.
        resume: True when earlier attempts left results there: they become the input `resume_url`, since a new
            container starts empty.
        installation: id of the installation that requests it.
    """

    number: int
    results: str
    resume: bool
    installation: str


def name_prefix(key: str) -> str:
    """Return the common prefix of the names of all attempts at a stage key."""
    return f"{PREFIX}{key[:_KEY_DIGITS]}-"


def name(key: str, attempt: int) -> str:
    """Return the job's name; each attempt has its own, as names are unique (code 2751)."""
    return f"{name_prefix(key)}{attempt}"


def attempt_number(job_name: str) -> int:
    """Return the number of the attempt; 0 for the name of another program's job."""
    match = _NAME.fullmatch(job_name)
    return int(match["attempt"]) if match else 0


def description(key: str, installation: str) -> str:
    """Describe a job by its stage key and the installation that watches it."""
    return f"AtlasFlow, stage key {key[:_KEY_DIGITS]}, installation {installation}"


def is_of(text: str, installation: str) -> bool:
    """Return True when a job's description names this installation."""
    return text.endswith(f"installation {installation}")


def body(job: TrainJob, attempt: Attempt, settings: ModelArtsSettings, paths: JobPaths) -> dict[str, object]:
    """Build the request body that creates the job (docs/reference/modelarts.md §1.2).

    Raises:
        UserError: engine (or image) or flavor are not set, data or code have no address, or a parameter has a reserved
            name.
    """
    check_resources(settings)
    if not job.data_address or not job.code_address:
        raise UserError("a ModelArts job needs data and code in object storage", hint="run the upload stage first")
    code = job.code_address.rstrip("/")
    results = ObjectAddress(paths.bucket, attempt.results).folder
    inputs = [_channel("data_url", job.data_address, settings)]
    if job.pretrained is not None:
        inputs.append(
            _channel(
                "pretrain_url", ObjectAddress(paths.bucket, paths.pretrained(job.pretrained.sha256)).folder, settings
            )
        )
    if attempt.resume:
        inputs.append(_channel("resume_url", results, settings))
    return {
        "kind": "job",
        "metadata": {
            "name": name(job.key, attempt.number),
            "workspace_id": settings.workspace,
            "description": description(job.key, attempt.installation),
        },
        "algorithm": {
            "code_dir": f"{code}/",
            **_program(settings, code, [*(str(item["name"]) for item in inputs), "train_url"]),
            "inputs": inputs,
            "outputs": [_channel("train_url", results, settings)],
            "parameters": _parameters(settings),
            "environments": settings.environment | {SPEC_VARIABLE: canonical(job.spec)},
        },
        "spec": {
            **resources(settings),
            "log_export_path": {"obs_url": ObjectAddress(paths.bucket, paths.logs(settings.logs)).folder},
            "auto_stop": {"time_unit": "HOURS", "duration": settings.auto_stop_hours},
        },
    }


def _parameters(settings: ModelArtsSettings) -> list[dict[str, str]]:
    reserved = sorted({*CHANNELS, "spec"} & set(settings.parameters))
    if reserved:
        raise UserError(
            f"modelarts.parameters sets {', '.join(reserved)}, which AtlasFlow sets itself",
            hint="choose other names; [train] sets what is trained",
        )
    return [{"name": item, "value": value} for item, value in settings.parameters.items()]


def _channel(channel: str, address: str, settings: ModelArtsSettings) -> dict[str, object]:
    # The command of a custom image finds its folders in variables (modelarts.md §1.6).
    access = "env" if settings.image else "parameter"
    return {"name": channel, "access_method": access, "remote": {"obs": {"obs_url": f"{address.rstrip('/')}/"}}}


def _program(settings: ModelArtsSettings, code: str, channels: Sequence[str]) -> dict[str, object]:
    """Return the boot file with an engine, or the command with a custom image."""
    if not settings.image:
        return {"boot_file": f"{code}/main.py", "engine": {"engine_id": settings.engine}}
    boot = f'"${{MA_JOB_DIR}}"/{shlex.quote(PurePosixPath(ObjectAddress.parse_folder(code).key).name)}/main.py'
    words = [settings.command, boot, *(f'--{name}="${{{name}}}"' for name in channels)]
    words += [shlex.quote(f"--{name}={value}") for name, value in settings.parameters.items()]
    return {"command": " ".join(words), "engine": {"image_url": settings.image}}


def check_resources(settings: ModelArtsSettings) -> None:
    """Check that a job has something to run in and on.

    Raises:
        UserError: engine and image, the image's digest, or the flavor are not set; a priority without a pool.
    """
    needed = {"modelarts.engine": settings.engine or settings.image, "modelarts.flavor": settings.flavor}
    for setting, value in needed.items():
        if not value:
            raise UserError(f"{setting} is not set", hint="`doctor` lists what your region offers")
    if settings.image and not image_digest(settings):
        raise UserError(
            f"the digest of the image {settings.image} is not known, so a new image of this tag would pass for it",
            hint="set modelarts.image_digest=sha256:… (`docker inspect`, or the image's page in the SWR console)",
        )
    if not settings.pool_id and (settings.priority is not None or settings.preemptible):
        raise UserError(
            "modelarts.priority and modelarts.preemptible need a dedicated pool", hint="set modelarts.pool_id"
        )


def image_digest(settings: ModelArtsSettings) -> str:
    """Return the digest of the custom image; empty when it is not known."""
    match = re.search(r"@(sha256:[0-9a-f]{64})$", settings.image)
    return match[1] if match else settings.image_digest


def resources(settings: ModelArtsSettings) -> dict[str, object]:
    """Return what a job runs on: flavor, nodes, pool, priority and volumes (modelarts.md §1.2)."""
    resource: dict[str, object] = {"flavor_id": settings.flavor, "node_count": settings.node_count}
    found: dict[str, object] = {"resource": resource}
    if settings.pool_id:
        resource["pool_id"] = settings.pool_id
    policy = {"priority": settings.priority, "preemptible": settings.preemptible or None}
    if any(value is not None for value in policy.values()):
        found["schedule_policy"] = {name: value for name, value in policy.items() if value is not None}
    if settings.volumes:
        found["volumes"] = [_volume(volume) for volume in settings.volumes]
    return found


def _volume(volume: ModelArtsVolume) -> dict[str, object]:
    source = {"nfs": "nfs_server_path", "pfs": "pfs_path", "obs": "obs_path"}[volume.kind]
    mount: dict[str, object] = {source: volume.source, "local_path": volume.target}
    if volume.kind == "nfs":
        mount["read_only"] = volume.read_only
    return {volume.kind: mount}
