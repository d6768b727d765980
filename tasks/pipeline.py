"""The eight stages in order, the gates between them, and the optional stages."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from infra.errors import UserError
from infra.settings import Settings, nearest
from tasks.engine.chain import Chain
from tasks.engine.gates import Decision, accuracy_gate, parity_gate
from tasks.engine.stage import Stage
from tasks.release.ledger import Ledger
from tasks.stages import convert, corrupt, deploy, download, evaluate, export, publish, robustness, train, upload

STAGES: tuple[Stage, ...] = (
    download.STAGE,
    upload.STAGE,
    train.STAGE,
    evaluate.STAGE,
    export.STAGE,
    convert.STAGE,
    publish.STAGE,
    deploy.STAGE,
)
NAMES = tuple(stage.name for stage in STAGES)
OPTIONAL: tuple[Stage, ...] = (corrupt.STAGE, robustness.STAGE)
"""Stages that run only when they are named."""
EVERY_NAME = (*NAMES, *(stage.name for stage in OPTIONAL))


def stages_for(selected: Iterable[str]) -> tuple[Stage, ...]:
    """The stages of a chain; the optional ones follow when one of them is selected."""
    return STAGES if set(selected) <= set(NAMES) else (*STAGES, *OPTIONAL)


def select(only: Sequence[str] = (), first: str | None = None, last: str | None = None) -> tuple[str, ...]:
    """Select stages in order: those in `only`, or all of the chain from `first` to `last`.

    Raises:
        UserError: an unknown name, `only` together with a range, or an empty range.
    """
    for names, known in ((only, EVERY_NAME), (filter(None, (first, last)), NAMES)):
        for name in names:
            if name not in known:
                raise UserError(
                    f"there is no stage '{name}'{nearest(name, known)}", hint=f"the stages are {', '.join(known)}"
                )
    if only and (first or last):
        raise UserError("--stage does not go with --from and --to")
    if only:
        return tuple(name for name in EVERY_NAME if name in only)
    begin = NAMES.index(first) if first else 0
    end = NAMES.index(last) if last else len(NAMES) - 1
    if begin > end:
        raise UserError(f"--from {first} comes after --to {last}")
    return NAMES[begin : end + 1]


def gate_after(chain: Chain, stage: str) -> Decision | None:
    """The decision of the gate after a stage, from its receipt; None where there is no gate."""
    if stage not in _GATES or stage not in chain.known:
        return None
    output, decide = _GATES[stage]
    return decide(json.loads(chain.store.path(chain.known[stage].outputs[output]).read_text()), chain.settings)


_GATES: Mapping[str, tuple[str, Callable[[Any, Settings], Decision]]] = {
    "evaluate": ("metrics", lambda said, settings: accuracy_gate(said["accuracy"], settings.evaluate.min_accuracy)),
    "convert": ("ledger", lambda said, _settings: parity_gate(Ledger.from_json(said))),
}
"""By stage: the output that its gate reads, and the gate."""
