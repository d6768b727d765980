"""Run the agent of a release folder on this machine, with the stand-in pyACL."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.board.session import CLASSES
from infra.errors import Refused
from infra.program import run_program

ACL = Path(__file__).parent / "emulator" / "acl"


def run_agent(folder: Path, soc_version: str, arguments: Sequence[str], *, seconds: float = 3600.0) -> dict[str, Any]:
    """Run one command of the agent.

    Args:
        folder: a release: `agent/`, `model.om`, `release.json`.
        soc_version: the chip of the stand-in.
        arguments: the command with its options, without `--json`.
        seconds: time limit.

    Returns:
        The command's JSON answer.

    Raises:
        UserError, GateFailed, Refused, Transient, Corrupt: by the agent's exit code.
        Refused: it crashed; the message has its last line.
    """
    lines: list[str] = []
    finished = run_program(
        [sys.executable, "-B", "agent/main.py", *arguments, "--json"],
        on_line=lines.append,
        environment={"PYTHONPATH": str(ACL), "ATLASFLOW_ACL_SOC": soc_version, "ATLASFLOW_ACL_RUN_MODE": "device"},
        folder=folder,
        seconds=seconds,
    )
    answer = next((line for line in reversed(lines) if line.startswith("{")), None)
    if answer is None:
        raise Refused(f"the agent ended with code {finished.code}: {lines[-1] if lines else 'no output'}")
    result: dict[str, Any] = json.loads(answer)
    if finished.code != 0:
        raise CLASSES.get(finished.code, Refused)(result["error"]["message"], hint=result["error"]["hint"])
    return result


class LocalSimulator:
    """Compiled models on this machine: the port `Simulator`."""

    def infer(self, release: Path, soc_version: str, images: Path, logits: Path) -> float:
        """Run a release's model on an array of images."""
        return float(run_agent(release, soc_version, ["infer", str(images), str(logits)])["milliseconds"])
