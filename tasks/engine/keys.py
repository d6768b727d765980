"""The ingredients of a stage's key: its inputs, from earlier stages or from outside, and everything else that counts.

A key is SHA-256 over the ingredients: schema version, stage name, digests of the inputs, whether a
stand-in contributed to them, the settings that the stage reads, the digest of its code, its producer, and the versions
of tools.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.ports.values import LocalFile, Producer
from infra.settings import Settings
from infra.store.artifacts import TREE, Artifact, ArtifactStore, folder_files
from infra.store.code_digest import closure
from infra.store.receipts import INGREDIENTS, Receipt
from infra.world import World
from tasks.engine.stage import Needs, Stage


@dataclass(frozen=True)
class Inputs:
    """The inputs of a stage, by name.

    Attributes:
        artifacts: their digests and sizes.
        files: their files, by relative name.
        emulated: True when a stand-in contributed to one of them.
    """

    artifacts: Mapping[str, Artifact]
    files: Mapping[str, Mapping[str, LocalFile]]
    emulated: bool


def sources(stage: Stage, settings: Settings) -> list[str]:
    """The stages whose outputs a stage needs, under these settings."""
    external = stage.external_inputs(settings)
    return [source for name, (source, _) in _needs(stage, settings).items() if name not in external]


def inputs(stage: Stage, settings: Settings, known: Mapping[str, Receipt], store: ArtifactStore) -> Inputs:
    """Collect the inputs of a stage.

    Args:
        stage: the stage.
        settings: decide what is needed and what comes from outside.
        known: the receipts of earlier stages, by stage.
        store: holds the files.

    Raises:
        UserError: an external file is missing, or an earlier stage lacks the output.
    """
    artifacts: dict[str, Artifact] = {}
    files: dict[str, Mapping[str, LocalFile]] = {}
    external = stage.external_inputs(settings)
    for name, path in external.items():
        artifacts[name], files[name] = _external(name, path, store)
    emulated = False
    for name, (source, output) in _needs(stage, settings).items():
        if name in external:
            continue
        receipt = known[source]
        if output not in receipt.outputs and name in stage.optional:
            continue
        if output not in receipt.outputs:
            raise UserError(
                f"{stage.name} needs {output} of {source}, which made none", hint=f"see `atlasflow why {source}`"
            )
        artifacts[name] = receipt.outputs[output]
        files[name] = store.files(artifacts[name])
        emulated = emulated or receipt.emulated
    return Inputs(artifacts, files, emulated)


def ingredients(stage: Stage, settings: Settings, world: World, found: Inputs) -> dict[str, Any]:
    """Everything that the key of a stage is made of, as JSON values."""
    producer = stage.producer(world)
    return {
        "schema": INGREDIENTS,
        "stage": stage.name,
        "inputs": {name: artifact.sha256 for name, artifact in found.artifacts.items()},
        "emulated": found.emulated,
        "settings": dict(stage.settings(settings)),
        "code": closure((stage.run.__module__, *stage.code(settings)), CHECKOUT),
        "producer": None if producer is None else _producer_values(producer),
        "tools": {name: version(name) for name in stage.tools},
    }


def emulated(ingredients: Mapping[str, Any]) -> bool:
    """True when a stand-in made an artifact with these ingredients, or contributed to one of them."""
    return bool(ingredients["emulated"]) or bool((ingredients["producer"] or {}).get("emulated"))


def _needs(stage: Stage, settings: Settings) -> Needs:
    return stage.needs(settings) if callable(stage.needs) else stage.needs


def _producer_values(producer: Producer) -> dict[str, Any]:
    return {
        "name": producer.name,
        "version": producer.version,
        "emulated": producer.emulated,
        "details": dict(producer.details),
    }


def _external(name: str, path: Path, store: ArtifactStore) -> tuple[Artifact, dict[str, LocalFile]]:
    """A file or folder from outside the chain as an input."""
    if path.is_file():
        file = store.describe(path)
        return Artifact(path.name, file.sha256, file.size, "file", "application/octet-stream"), {path.name: file}
    if not path.is_dir():
        raise UserError(f"{path} does not exist", hint=f"the settings name it as {name}")
    digest, files = folder_files(path, store.describe)
    size = sum(file.size for file in files.values())
    return Artifact(name, digest, size, "tree", TREE), files
