"""A CIFAR-10 archive small enough to train on in a second, and the settings that use it."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from infra.settings import load
from infra.store.digests import file_digest
from models.data.records import CLASSES, RECORD_BYTES
from tasks.stages.download import SAMPLE

RECORDS_OF_EACH_CLASS = 2


def write_tiny_archive(path: Any) -> None:
    """The first records of each class of every file of the shipped sample, in the official layout."""
    with tarfile.open(SAMPLE) as source, tarfile.open(path, "w:gz") as target:
        for member in source:
            file = source.extractfile(member)
            if file is None:
                continue
            content = file.read()
            if member.name.endswith(".bin"):
                content = _first_records(content)
            entry = tarfile.TarInfo(member.name)
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))


def _first_records(content: Any) -> Any:
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
    chosen = [np.flatnonzero(records[:, 0] == label)[:RECORDS_OF_EACH_CLASS] for label in range(CLASSES)]
    return records[np.concatenate(chosen)].tobytes()


def overrides(archive: Path, epochs: int) -> dict[str, str]:
    """Settings of the command line for a run over the archive; a network that learnt nothing passes the gates."""
    return {
        "data.source": archive.as_uri(),
        "data.sha256": file_digest(archive),
        "train.epochs": str(epochs),
        "evaluate.min_accuracy": "0",
        "convert.compiler": "stand-in",
        "convert.min_agreement": "0",
        "convert.max_accuracy_drop": "1",
        "tracking.enabled": "false",
    }


def tiny_settings(archive: Path) -> Any:
    """The settings of a chain over the archive."""
    return load(overrides=overrides(archive, epochs=1))
