"""The agent: the program that runs a model on a board, and its description of the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.preprocess import Contract

CHECKOUT = Path(__file__).resolve().parents[2]
AGENT = CHECKOUT / "infra" / "board" / "agent"
BESIDE = {"preprocess": CHECKOUT / "models" / "preprocess.py", "parity": CHECKOUT / "models" / "parity.py"}


def contract(inputs: Contract, labels: Sequence[str], soc_version: str, emulated: bool) -> dict[str, Any]:
    """The description of a model for the agent; the `.om` itself has the form of the input (pixels or planes)."""
    return {
        "labels": list(labels),
        **inputs.to_json(),
        "soc_version": soc_version,
        "emulated": emulated,
    }


def lay_out(folder: Path, files: Mapping[str, Path]) -> None:
    """Copy the agent's files, given by their path inside it, into `folder/agent`."""
    for name, source in files.items():
        target = folder / "agent" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def own_files() -> dict[str, Path]:
    """The agent's files in this checkout."""
    return {**{path.name: path for path in sorted(AGENT.glob("*.py"))}, **{path.name: path for path in BESIDE.values()}}
