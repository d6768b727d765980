"""Execute compiled candidates on the evaluation images, through the very program that boards run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tasks import program
from tasks.images import evaluation_images, labels
from tasks.parity import Result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tasks.base import Work
    from tasks.parity import Candidate

OWN_MODEL = "convert.model is not an export of this chain: there is nothing to compare it with"
FOR_HARDWARE = "compiled for hardware, which this machine is not; the smoke test on the board compares it"


def run(work: Work, candidates: Sequence[Candidate], *, emulated: bool) -> list[Result]:
    """The logits and the latency of each candidate, or why there are none.

    Args:
        work: of the convert stage.
        candidates: compiled.
        emulated: True for a stand-in's `.om`, which the stand-in pyACL executes here.
    """
    if work.settings.convert.model:
        return [Result(candidate, reason=OWN_MODEL) for candidate in candidates]
    if not emulated:
        return [Result(candidate, reason=FOR_HARDWARE) for candidate in candidates]
    return [_execute(work, candidate) for candidate in candidates]


def _execute(work: Work, candidate: Candidate) -> Result:
    import numpy as np

    folder = work.folder / "trial" / f"{candidate.soc_version}-{candidate.precision}"
    lay_out(work, candidate, folder)
    images, logits = folder / "images.npy", folder / "logits.npy"
    np.save(images, evaluation_images(work)[0])
    milliseconds = work.world.infer(folder, candidate.soc_version, images, logits)
    return Result(candidate, np.load(logits, allow_pickle=False), milliseconds)


def lay_out(work: Work, candidate: Candidate, folder: Path) -> None:
    """A release without a smoke test."""
    program.lay_out(folder, program.own_files())
    (folder / "model.om").symlink_to(candidate.om)
    facts = program.contract(work.settings, labels(work), candidate.soc_version, emulated=True)
    (folder / "release.json").write_text(json.dumps({"id": "trial", **facts, "tolerance": 0.0}))
