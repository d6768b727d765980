"""Execute compiled candidates on the evaluation images, with the agent of the boards.

Models of the stand-in compiler are executed on this machine. With several candidates for a chip, models for hardware
are executed on a board with that chip, if the settings name one; else the smoke test of the deployment compares them.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from infra.errors import Transient
from tasks.class_names import labels
from tasks.evaluation_images import evaluation_images, input_contract
from tasks.release import agent_bundle
from tasks.release.parity import Result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tasks.engine.stage import StageContext
    from tasks.release.parity import Candidate

FOR_HARDWARE = "compiled for hardware, which this machine is not; the smoke test on the board compares it"


def run(context: StageContext, candidates: Sequence[Candidate], *, emulated: bool) -> list[Result]:
    """Execute each candidate; returns logits and latency, or why there are none.

    Args:
        context: of the convert stage.
        candidates: the compiled models.
        emulated: True for models of the stand-in compiler, for the stand-in pyACL.
    """
    results = []
    for done, candidate in enumerate(candidates):
        context.reporter.progress("convert", done, len(candidates), "trials")
        rivals = [other for other in candidates if other.soc_version == candidate.soc_version]
        if emulated:
            results.append(_execute(context, candidate, None))
        else:
            board = _board(context, candidate.soc_version) if len(rivals) > 1 else None
            results.append(Result(candidate, reason=FOR_HARDWARE) if board is None else _try(context, candidate, board))
    return results


def _board(context: StageContext, soc_version: str) -> str | None:
    """The first real board with that chip in `deploy.boards`."""
    boards = context.settings.boards
    named = [name for name in context.settings.deploy.boards if name in boards and boards[name].address]
    return next((name for name in named if boards[name].soc == soc_version), None)


def _try(context: StageContext, candidate: Candidate, board: str) -> Result:
    """Execute on a board; an unreachable one does not stop the stage."""
    context.reporter.line("convert", f"board {board} tries {candidate.name}")
    try:
        return _execute(context, candidate, board)
    except Transient as error:
        context.reporter.line("convert", f"board {board} cannot try {candidate.name} now: {error.message}")
        return Result(candidate, reason=f"board {board} could not try it: {error.message}")


def _execute(context: StageContext, candidate: Candidate, board: str | None) -> Result:
    """Execute a candidate on a board, or on this machine without one."""
    import numpy as np

    folder = context.folder / "trials" / candidate.om.stem
    lay_out(context, candidate, folder / "release", emulated=board is None)
    images, logits = folder / "images.npy", folder / "logits.npy"
    np.save(images, evaluation_images(context)[0][:])
    if board is None:
        milliseconds = context.world.simulator().infer(folder / "release", candidate.soc_version, images, logits)
    else:
        milliseconds = context.world.board(board).infer(folder / "release", images, logits)
    return Result(candidate, np.load(logits, allow_pickle=False), milliseconds)


def lay_out(context: StageContext, candidate: Candidate, folder: Path, *, emulated: bool) -> None:
    """Write a release without a smoke test to `folder`."""
    agent_bundle.lay_out(folder, agent_bundle.own_files())
    shutil.copyfile(candidate.om, folder / "model.om")
    contract = input_contract(context.settings, context.files["data"])
    facts = agent_bundle.contract(contract, labels(context), candidate.soc_version, emulated)
    (folder / "release.json").write_text(json.dumps({"id": "trial", **facts, "tolerance": 0.0}))
