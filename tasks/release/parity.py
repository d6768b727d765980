"""The parity ledger: checkpoint ↔ exported files ↔ each compiled model ↔ boards, on the same images at each hop.

Every hop is compared with the checkpoint (`whole`), so that its figures tell what a user of that form gets; a compiled
model is also compared with the file that it was compiled from (`step`), so that it is plain which hop lost what. Times
are kept apart from the ledger: they are never the same twice, and the ledger is an input of what comes after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.evaluation_images import evaluation_images, expected_logits, labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from infra.settings import Settings
    from tasks.engine.stage import StageContext

Hop = dict[str, Any]
Ledger = dict[str, Any]
CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Candidate:
    """A compiled model that may be chosen for its chip."""

    soc_version: str
    precision: str
    om: Path

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.soc_version} {self.precision}"


@dataclass(frozen=True)
class Result:
    """What the execution of a candidate gave: logits [n, classes] and milliseconds an image, or why there are none."""

    candidate: Candidate
    logits: np.ndarray[Any, Any] | None = None
    milliseconds: float | None = None
    reason: str = ""


def ledger(context: StageContext, results: Sequence[Result], *, emulated: bool) -> Ledger:
    """Compare everything, judge each hop by the settings' bounds, and choose a model for each chip.

    Args:
        context: of the convert stage.
        results: of every candidate, in the order of preference.
        emulated: a stand-in executed them, so their times mean nothing.

    Returns:
        source, bounds, images, hops, chosen (chip to precision, None where none passes) and why.
    """
    bounds = bounds_of(context.settings)
    hops = _export_hops(context, bounds) + _compiled_hops(context, results, bounds)
    times = {} if emulated else times_of(results)
    chosen, why = {}, {}
    for soc in dict.fromkeys(result.candidate.soc_version for result in results):
        chosen[soc], why[soc] = choose([hop for hop in hops if hop["soc_version"] == soc], times)
    return {
        "source": source_of(context.settings),
        "bounds": bounds,
        "images": max((hop["whole"]["images"] for hop in hops if hop["whole"]), default=0),
        "emulated": emulated,
        "hops": hops,
        "chosen": chosen,
        "why": why,
    }


def times_of(results: Sequence[Result]) -> dict[str, float]:
    """Milliseconds an image by candidate, of those that were timed."""
    return {result.candidate.name: result.milliseconds for result in results if result.milliseconds is not None}


def bounds_of(settings: Settings) -> dict[str, float]:
    """The gate's bounds."""
    convert = settings.convert
    return {"min_agreement": convert.min_agreement, "max_accuracy_drop": convert.max_accuracy_drop}


def source_of(settings: Settings) -> str:
    """What is compiled: the name of an export, or `model` for a file of one's own."""
    return "model" if settings.convert.model else settings.convert.source


def choose(hops: Sequence[Hop], times: Mapping[str, float]) -> tuple[str | None, str]:
    """Choose among the candidates of one chip: precision and why.

    Args:
        hops: the candidates, in the order of preference.
        times: milliseconds by name, where they mean something: then the fastest that passes is taken, else the first.
    """
    passing = [hop for hop in hops if hop["objection"] is None]
    if not passing:
        return None, "none passes"
    if all(hop["to"] in times for hop in passing):
        return min(passing, key=lambda hop: times[hop["to"]])["precision"], "the fastest that passes"
    if passing[0]["whole"] is None:
        return passing[0]["precision"], "the first of the declared order; none was executed here"
    return passing[0]["precision"], "the first of the declared order that passes"


def with_board(book: Ledger, board: str, soc_version: str, smoke: Mapping[str, Any]) -> Ledger:
    """The ledger with one more hop: what a board's smoke test said of the model that was chosen for its chip.

    Args:
        book: a ledger of `ledger`, or what this gave before.
        board: the board's name.
        soc_version: its chip.
        smoke: `Installed.smoke`.
    """
    pair = (soc_version, book["chosen"][soc_version])
    chosen = next(hop for hop in book["hops"] if (hop["soc_version"], hop["precision"]) == pair)
    whole = {name: smoke[name] for name in _FIGURES} if "per_class" in smoke else None
    hop = _hop(chosen["to"], f"board {board}", chosen["bytes"], whole, book["bounds"])
    if whole is None:
        hop["reason"] = "the board keeps no figures of its smoke test"
    return {**book, "hops": [*book["hops"], hop]}


def _export_hops(context: StageContext, bounds: Mapping[str, float]) -> list[Hop]:
    if context.settings.convert.model:
        return []
    checks = json.loads(context.input("checks").read_text(encoding="utf-8"))
    hops = []
    for name, check in sorted(checks.items(), key=lambda item: item[0] == source_of(context.settings)):
        compared = "per_class" in check
        whole = {key: check[key] for key in _FIGURES} if compared else None
        hop = _hop(CHECKPOINT, name, check.get("bytes", 0), whole, bounds)
        hop["reason"] = "" if compared else check.get("reason") or check.get("unchecked", "")
        hops.append(hop)
    return hops


_FIGURES = ("images", "not_finite", "agreement", "cosine", "max_difference", "accuracy", "accuracy_drop", "per_class")


def _compiled_hops(context: StageContext, results: Sequence[Result], bounds: Mapping[str, float]) -> list[Hop]:
    from models import parity as arithmetic

    source = source_of(context.settings)
    hops = []
    for result in results:
        whole = step = None
        if result.logits is not None:
            numbers, names = _classes(context)
            whole = arithmetic.compare(expected_logits(context), result.logits, numbers, names)
            step = _step(context, source, result.logits)
        size = result.candidate.om.stat().st_size
        hop = _hop(source, result.candidate.name, size, whole, bounds)
        facts = {"soc_version": result.candidate.soc_version, "precision": result.candidate.precision}
        hops.append({**hop, **facts, "step": step, "reason": result.reason})
    return hops


def _classes(context: StageContext) -> tuple[np.ndarray[Any, Any], list[str]]:
    import numpy as np

    return np.array(evaluation_images(context)[1]), labels(context)


def _step(context: StageContext, source: str, found: np.ndarray[Any, Any]) -> dict[str, Any] | None:
    """The comparison with the file that was compiled; None where that was not executed."""
    import numpy as np

    from models import parity as arithmetic

    file = context.files["logits"].get(f"{source}.npy")
    if file is None:
        return None
    numbers, names = _classes(context)
    compared = arithmetic.compare(np.load(file.path, allow_pickle=False), found, numbers, names)
    return {name: compared[name] for name in ("agreement", "cosine", "max_difference")}


def _hop(source: str, name: str, size: int, whole: Mapping[str, Any] | None, bounds: Mapping[str, float]) -> Hop:
    from models import parity as arithmetic

    objection = None
    if whole is not None:
        objection = arithmetic.objection(dict(whole), bounds["min_agreement"], bounds["max_accuracy_drop"])
    return {
        "from": source,
        "to": name,
        "bytes": size,
        "whole": whole,
        "step": None,
        "objection": objection,
        "reason": "",
        "soc_version": "",
        "precision": "",
    }
