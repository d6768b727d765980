"""The configuration of a job, as the console's page of a job shows it (docs/reference/modelarts.md §1.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Channel:
    """An input or an output of a job: the name of its argument, and its address in object storage."""

    name: str
    address: str


@dataclass(frozen=True)
class Configuration:
    """What a job runs, on what, with what.

    Attributes:
        engine: engine id; empty for a custom image.
        image: address of a custom image; empty for an engine.
        command: of a custom image.
        parameters: hyper-parameters, as name and value.
        environment: names and values of variables.
        log: address of the exported log; empty when none is exported.
    """

    code_dir: str
    boot_file: str
    engine: str
    image: str
    command: str
    flavor: str
    nodes: int
    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    parameters: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    log: str


def read_configuration(answer: Any) -> Configuration:
    """Read the configuration from an SDK response; what the platform omits is empty.

    Args:
        answer: an SDK model with `algorithm` and `spec`.
    """
    algorithm, spec = answer.algorithm, answer.spec
    engine = algorithm and algorithm.engine
    resource = spec and spec.resource
    log = spec and spec.log_export_path
    variables = (algorithm and algorithm.environments) or {}
    # The response model declares a list of dicts, and the platform answers a dict (modelarts.md §1.3).
    pairs = [pair for item in (variables if isinstance(variables, list) else [variables]) for pair in item.items()]
    return Configuration(
        code_dir=(algorithm and algorithm.code_dir) or "",
        boot_file=(algorithm and algorithm.boot_file) or "",
        engine=(engine and engine.engine_id) or "",
        image=(engine and engine.image_url) or "",
        command=(algorithm and algorithm.command) or "",
        flavor=(resource and resource.flavor_id) or "",
        nodes=(resource and resource.node_count) or 1,
        inputs=_channels(algorithm and algorithm.inputs),
        outputs=_channels(algorithm and algorithm.outputs),
        parameters=tuple((item.name, item.value or "") for item in (algorithm and algorithm.parameters) or []),
        environment=tuple((str(name), str(value)) for name, value in pairs),
        log=(log and log.obs_url) or "",
    )


def _channels(items: Sequence[Any] | None) -> tuple[Channel, ...]:
    return tuple(
        Channel(item.name, (item.remote and item.remote.obs and item.remote.obs.obs_url) or "") for item in items or []
    )
