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
class JobRequest:
    """A request to create a job.

    Attributes:
        document: its JSON as received; the API repeats it, and a restarted stand-in reads it again.
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
    resource = as_object(spec.get("resource"))
    return JobRequest(
        document={"metadata": metadata, "algorithm": algorithm, "spec": spec},
        name=_text(metadata.get("name")),
        workspace=_text(metadata.get("workspace_id", "0")),
        engine=_text(as_object(algorithm.get("engine")).get("engine_id")),
        flavor=_text(resource.get("flavor_id")),
        nodes=_number(resource.get("node_count", 1), "node_count"),
        code_dir=_text(algorithm.get("code_dir")),
        boot_file=_text(algorithm.get("boot_file")),
        inputs=_channels(algorithm.get("inputs")),
        outputs=_channels(algorithm.get("outputs")),
        parameters=_parameters(algorithm.get("parameters")),
        environment={name: str(value) for name, value in as_object(algorithm.get("environments")).items()},
        log_folder=_text(as_object(spec.get("log_export_path")).get("obs_url")),
        limit_hours=_limit_hours(spec.get("auto_stop")),
    )


def as_object(value: object) -> JsonObject:
    """Return a JSON object; an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return a JSON array; an empty one for any other value."""
    return value if isinstance(value, list) else []


def _section(document: JsonObject, name: str) -> JsonObject:
    value = document.get(name)
    if not isinstance(value, dict):
        raise ApiError(ErrorCode.INVALID_FIELD, f"{name} is missing")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} must be a whole number from 1")
    return value


def _channels(value: object) -> tuple[Channel, ...]:
    return tuple(_channel(as_object(item)) for item in as_list(value))


def _channel(item: JsonObject) -> Channel:
    access = item.get("access_method") or "parameter"
    if not item.get("name") or access not in ("parameter", "env"):
        raise ApiError(ErrorCode.INVALID_CHANNEL, "a channel has a name, and the access method parameter or env")
    address = _text(as_object(as_object(item.get("remote")).get("obs")).get("obs_url"))
    return Channel(
        name=_text(item["name"]),
        address=address,
        access="env" if access == "env" else "parameter",
        local_dir=_text(item.get("local_dir")),
    )


def _parameters(value: object) -> tuple[tuple[str, str], ...]:
    items = [as_object(item) for item in as_list(value)]
    if any(not isinstance(item.get("value"), str) for item in items):
        raise ApiError(ErrorCode.INVALID_JOB_PARAMETER, "the value of a parameter must be a string")
    return tuple((_text(item.get("name")), _text(item["value"])) for item in items)


def _limit_hours(value: object) -> int | None:
    if value is None:
        return None
    limit = as_object(value)
    if limit.get("time_unit") != "HOURS":
        raise ApiError(ErrorCode.INVALID_PARAMETER, "auto_stop must be in HOURS")
    return _number(limit.get("duration"), "the duration of auto_stop")
