"""Compare checkpoint, exported files, compiled models and boards on the same images, and choose what to deploy.

Each form is compared with the checkpoint (`whole`): its users see that difference. A compiled model is also compared
with the file that it was compiled from (`step`), which shows the hop that lost accuracy. Times are kept out of the
ledger: they differ in each run, and the ledger is an input of later stages.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from infra.ports.comparison import Comparison
from tasks.class_names import labels
from tasks.evaluation_images import evaluation_images, expected_logits
from tasks.release.ledger import CHECKPOINT, OWN_MODEL, Bounds, CompilerName, Hop, Ledger, StepLoss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from infra.ports.board import SmokeResult
    from infra.ports.values import Producer
    from infra.settings import Settings
    from tasks.engine.stage import StageContext


@dataclass(frozen=True)
class Candidate:
    """A compiled model that may be chosen for its chip."""

    soc_version: str
    precision: str
    om: Path

    @property
    def name(self) -> str:
        """Its name in the ledger and in messages."""
        return f"{self.soc_version} {self.precision}"


@dataclass(frozen=True)
class Result:
    """The execution of a candidate: logits float32 [n, classes] and milliseconds an image, or why there was none."""

    candidate: Candidate
    logits: np.ndarray[Any, Any] | None = None
    milliseconds: float | None = None
    reason: str = ""


def compare(context: StageContext, results: Sequence[Result], producer: Producer) -> Ledger:
    """Compare everything, apply the settings' bounds to each hop, and choose a model for each chip.

    Args:
        context: of the convert stage.
        results: of every candidate, in the order of preference.
        producer: the compiler; after a stand-in, times mean nothing.
    """
    bounds = bounds_of(context.settings)
    hops = (*_export_hops(context, bounds), *_compiled_hops(context, results, bounds))
    times = {} if producer.emulated else times_of(results)
    socs = dict.fromkeys(result.candidate.soc_version for result in results)
    choices = {soc: choose([hop for hop in hops if hop.soc_version == soc], times) for soc in socs}
    return Ledger(
        source=source_of(context.settings),
        bounds=bounds,
        images=max((hop.whole.images for hop in hops if hop.whole), default=0),
        emulated=producer.emulated,
        hops=hops,
        chosen={soc: precision for soc, (precision, _) in choices.items()},
        why={soc: why for soc, (_, why) in choices.items()},
        compiler=CompilerName(producer.name, producer.version, _cann(producer)),
    )


def times_of(results: Sequence[Result]) -> dict[str, float]:
    """Milliseconds an image by candidate, of those that were timed."""
    return {result.candidate.name: result.milliseconds for result in results if result.milliseconds is not None}


def bounds_of(settings: Settings) -> Bounds:
    """The gate's bounds."""
    return Bounds(settings.convert.min_agreement, settings.convert.max_accuracy_drop)


def source_of(settings: Settings) -> str:
    """The form that is compiled: the name of an export, or of what was prepared from a model from outside."""
    if settings.convert.model:
        return PurePath(settings.convert.model).suffix.lower().removeprefix(".")
    return settings.convert.source


def choose(hops: Sequence[Hop], times: Mapping[str, float]) -> tuple[str | None, str]:
    """Choose among the candidates of one chip: precision and why.

    Args:
        hops: the candidates, in the order of preference.
        times: milliseconds by name, where they mean something: then the fastest that passes is taken, else the first.
    """
    passing = [hop for hop in hops if hop.objection is None]
    if not passing:
        return None, "none passes"
    if all(hop.target in times for hop in passing):
        return min(passing, key=lambda hop: times[hop.target]).precision, "the fastest that passes"
    if passing[0].whole is None:
        return passing[0].precision, "the first of the declared order; none was executed here"
    return passing[0].precision, "the first of the declared order that passes"


def with_board(ledger: Ledger, board: str, soc_version: str, smoke: SmokeResult | None) -> Ledger:
    """Add a hop: a board's smoke test of the model chosen for its chip.

    Args:
        ledger: of the convert stage, perhaps with other boards.
        board: the board's name.
        soc_version: its chip.
        smoke: of its installation.
    """
    chosen = ledger.chosen_hop(soc_version)
    whole = None if smoke is None else smoke.comparison
    reason = "" if whole else "the board keeps no figures of its smoke test"
    hop = Hop(chosen.target, f"board {board}", chosen.bytes, whole, reason=reason)
    return ledger.with_hop(_judged(hop, ledger.bounds))


def _export_hops(context: StageContext, bounds: Bounds) -> list[Hop]:
    origin = OWN_MODEL if context.settings.convert.model else CHECKPOINT
    checks = json.loads(context.input("checks").read_text(encoding="utf-8"))
    hops = []
    for name, check in sorted(checks.items(), key=lambda item: item[0] == source_of(context.settings)):
        whole = Comparison.from_json(check) if "per_class" in check else None
        reason = "" if whole else check.get("reason") or check.get("unchecked", "")
        hops.append(_judged(Hop(origin, name, check.get("bytes", 0), whole, reason=reason), bounds))
    return hops


def _compiled_hops(context: StageContext, results: Sequence[Result], bounds: Bounds) -> list[Hop]:
    source = source_of(context.settings)
    hops = []
    for result in results:
        whole = step = None
        if result.logits is not None:
            whole = _comparison(context, expected_logits(context), result.logits)
            step = _step(context, source, result.logits)
        candidate = result.candidate
        size = candidate.om.stat().st_size
        hop = Hop(
            source, candidate.name, size, whole, step, None, result.reason, candidate.soc_version, candidate.precision
        )
        hops.append(_judged(hop, bounds))
    return hops


def _comparison(context: StageContext, expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> Comparison:
    import numpy as np

    from models import parity

    numbers = np.array(evaluation_images(context)[1])
    return Comparison.from_json(parity.compare(expected, found, numbers, labels(context)))


def _step(context: StageContext, source: str, found: np.ndarray[Any, Any]) -> StepLoss | None:
    """Compare with the file that was compiled; None where that was not executed."""
    import numpy as np

    file = context.files["logits"].get(f"{source}.npy")
    if file is None:
        return None
    compared = _comparison(context, np.load(file.path, allow_pickle=False), found)
    return StepLoss(compared.agreement, compared.cosine, compared.max_difference)


def _judged(hop: Hop, bounds: Bounds) -> Hop:
    """The hop with its objection."""
    from models import parity

    if hop.whole is None:
        return hop
    objection = parity.failure_reason(hop.whole.to_json(), bounds.min_agreement, bounds.max_accuracy_drop)
    return replace(hop, objection=objection)


def _cann(producer: Producer) -> str:
    return str(producer.details.get("cann", "")) if producer.emulated else producer.version
