"""The request that creates a job, read from its JSON (docs/reference/modelarts.md §1.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from infra.modelarts.emulator.errors import ApiError, ErrorCode

JsonObject = dict[str, object]


@dataclass(frozen=True)
class Channel:
    """An input or an output: a folder in object storage, and how the boot script gets its local path."""

    name: str
    address: str
    access: Literal["parameter", "env"]
    local_dir: str


@dataclass(frozen=True)
class Volume:
    """A folder to mount: where it is (`nfs`, `pfs` or `obs`), its source, and its place in the container."""

    kind: str
    source: str
    local_path: str


@dataclass(frozen=True)
class JobRequest:
    """A request to create a job.

    Attributes:
        document: its JSON as received; the API repeats it, and a restarted stand-in reads it again.
        engine: its id; empty for a custom image.
        image: address of a custom image; empty for an engine.
        command: of a custom image.
        pool: id of a dedicated pool; empty for the public one.
        parameters: name and value of each, in order.
        log_folder: address for the exported log; empty: none.
        limit_hours: running time after which the job is stopped; None: no limit.
    """

    document: JsonObject
    name: str
    workspace: str
    engine: str
    flavor: str
    nodes: int
    code_dir: str
    boot_file: str
    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    parameters: tuple[tuple[str, str], ...]
    environment: Mapping[str, str]
    image: str
    command: str
    pool: str
    priority: int | None
    preemptible: bool
    volumes: tuple[Volume, ...]
    log_folder: str
    limit_hours: int | None

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Inputs and outputs."""
        return (*self.inputs, *self.outputs)

    def with_description(self, text: str) -> "JobRequest":
        """Return the request with another description."""
        metadata = {**as_object(self.document["metadata"]), "description": text}
        return read_request({**self.document, "metadata": metadata})


def read_request(document: JsonObject) -> JobRequest:
    """Read the JSON of a request.

    Raises:
        ApiError: a part is missing or has a wrong type.
    """
    metadata, algorithm, spec = (_section(document, name) for name in ("metadata", "algorithm", "spec"))
    resource = object_of(spec.get("resource"), "spec.resource")
    policy = object_of(spec.get("schedule_policy"), "spec.schedule_policy")
    engine = object_of(algorithm.get("engine"), "algorithm.engine")
    text_of(metadata.get("description"), "metadata.description")
    return JobRequest(
        document={"metadata": metadata, "algorithm": algorithm, "spec": spec},
        name=text_of(metadata.get("name"), "metadata.name"),
        workspace=text_of(metadata.get("workspace_id"), "metadata.workspace_id") or "0",
        engine=_engine(engine),
        flavor=text_of(resource.get("flavor_id"), "flavor_id"),
        nodes=_number(resource.get("node_count", 1), "node_count"),
        code_dir=text_of(algorithm.get("code_dir"), "code_dir"),
        boot_file=text_of(algorithm.get("boot_file"), "boot_file"),
        inputs=_channels(algorithm.get("inputs"), "inputs"),
        outputs=_channels(algorithm.get("outputs"), "outputs"),
        parameters=_parameters(algorithm.get("parameters")),
        environment=_environment(algorithm.get("environments")),
        image=text_of(engine.get("image_url"), "image_url"),
        command=text_of(algorithm.get("command"), "command"),
        pool=text_of(resource.get("pool_id"), "pool_id"),
        priority=None if policy.get("priority") is None else _number(policy["priority"], "priority"),
        preemptible=_flag(policy.get("preemptible"), "preemptible"),
        volumes=tuple(_volume(item) for item in list_of(spec.get("volumes"), "spec.volumes")),
        log_folder=text_of(object_of(spec.get("log_export_path"), "log_export_path").get("obs_url"), "obs_url"),
        limit_hours=_limit_hours(spec.get("auto_stop")),
    )


def as_object(value: object) -> JsonObject:
    """Return a JSON object; an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return a JSON array; an empty one for any other value."""
    return value if isinstance(value, list) else []


def object_of(value: object, name: str) -> JsonObject:
    """Return a JSON object, an empty one for null.

    Raises:
        ApiError: it is something else.
    """
    if value is not None and not isinstance(value, dict):
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} must be an object")
    return value or {}


def list_of(value: object, name: str) -> list[object]:
    """Return a JSON array, an empty one for null.

    Raises:
        ApiError: it is something else.
    """
    if value is not None and not isinstance(value, list):
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} must be a list")
    return value or []


def text_of(value: object, name: str) -> str:
    """Return a string, an empty one for null.

    Raises:
        ApiError: it is something else, or cannot be written as UTF-8.
    """
    if value is not None and not isinstance(value, str):
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} must be a string")
    text = value or ""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} has characters that are not allowed")
    return text


def _section(document: JsonObject, name: str) -> JsonObject:
    value = document.get(name)
    if not isinstance(value, dict):
        raise ApiError(ErrorCode.INVALID_FIELD, f"{name} is missing")
    return value


def _engine(engine: JsonObject) -> str:
    """Return the engine's id; name and version together name one as well (modelarts.md §1.2)."""
    identity, name, version = (
        text_of(engine.get(field), field) for field in ("engine_id", "engine_name", "engine_version")
    )
    return identity or (version if name and version else "")


def _number(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} must be a whole number from 1")
    return value


def _flag(value: object, name: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} must be true or false")
    return bool(value)


def _volume(value: object) -> Volume:
    mounts = object_of(value, "a volume")
    sources = {"nfs": "nfs_server_path", "pfs": "pfs_path", "obs": "obs_path"}
    if len(mounts) != 1 or not mounts.keys() <= sources.keys():
        raise ApiError(ErrorCode.INVALID_PARAMETER, "a volume is one of nfs, pfs and obs")
    (kind,) = mounts
    mount = object_of(mounts[kind], kind)
    source, target = text_of(mount.get(sources[kind]), sources[kind]), text_of(mount.get("local_path"), "local_path")
    if not source or not target.startswith("/") or ".." in target.split("/"):
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"a volume of {kind} has {sources[kind]} and a local_path from /")
    return Volume(kind, source, target)


def _channels(value: object, name: str) -> tuple[Channel, ...]:
    return tuple(_channel(object_of(item, f"one of {name}")) for item in list_of(value, name))


def _channel(item: JsonObject) -> Channel:
    access = item.get("access_method") or "parameter"
    name = text_of(item.get("name"), "the name of a channel")
    if not name or access not in ("parameter", "env"):
        raise ApiError(ErrorCode.INVALID_CHANNEL, "a channel has a name, and the access method parameter or env")
    obs = object_of(object_of(item.get("remote"), "remote").get("obs"), "remote.obs")
    return Channel(
        name=name,
        address=text_of(obs.get("obs_url"), "obs_url"),
        access="env" if access == "env" else "parameter",
        local_dir=text_of(item.get("local_dir"), "local_dir"),
    )


def _parameters(value: object) -> tuple[tuple[str, str], ...]:
    items = [object_of(item, "a parameter") for item in list_of(value, "parameters")]
    if any(not isinstance(item.get("value"), str) for item in items):
        raise ApiError(ErrorCode.INVALID_JOB_PARAMETER, "the value of a parameter must be a string")
    return tuple(
        (text_of(item.get("name"), "the name of a parameter"), text_of(item["value"], "the value of a parameter"))
        for item in items
    )


def _environment(value: object) -> Mapping[str, str]:
    return {name: text_of(text, f"the variable {name}") for name, text in object_of(value, "environments").items()}


def _limit_hours(value: object) -> int | None:
    if value is None:
        return None
    limit = object_of(value, "auto_stop")
    if limit.get("time_unit") != "HOURS":
        raise ApiError(ErrorCode.INVALID_PARAMETER, "auto_stop must be in HOURS")
    return _number(limit.get("duration"), "the duration of auto_stop")
