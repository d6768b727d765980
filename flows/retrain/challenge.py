"""A challenge: train the challenger, evaluate it and the champion on the same images, and ask each gate in turn.

Everything is an ordinary stage with its receipt; the first gate that says no ends it, so that nothing is exported or
published for a challenger that does not win.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from flows.context import open_chain
from flows.pipeline import run_one
from flows.requests import RetrainRequest
from infra.champions import Champion, Event
from infra.store.runs import RunRecord
from tasks.engine.chain import Chain
from tasks.engine.gates import Decision
from tasks.engine.stage import Reporter
from tasks.pipeline import gate_after
from tasks.retrain import checkpoints
from tasks.retrain.champions import compared, metrics_of, robustness_of, stand_ins, trained_by
from tasks.retrain.gates import (
    Trial,
    better,
    decided_gate,
    majority,
    median,
    provenance_gate,
    recall_gate,
    robustness_gate,
)
from tasks.retrain.reasons import Training
from tasks.retrain.report import Challenge

PREPARED = ("download", "upload")
LEARNT = ("train", "evaluate")


def chains_of(chain: Chain, seeds: Sequence[int]) -> dict[int, Chain]:
    """A chain for the training of each seed; without seeds the chain itself, under its recipe's own."""
    if not seeds:
        return {int(chain.stages["train"].settings(chain.settings)["seed"]): chain}
    found = {}
    for seed in dict.fromkeys(seeds):
        train = chain.settings.train.model_copy(update={"seed": seed})
        stages = tuple(chain.stages.values())
        found[seed] = chain.with_settings(stages, chain.settings.model_copy(update={"train": train}))
        found[seed].known.update({name: chain.known[name] for name in PREPARED if name in chain.known})
    return found


def training_of(chain: Chain, seeds: Sequence[int]) -> Training:
    """What would be trained; the data set of the chain is known."""
    looks = [other.look(other.stages["train"]) for other in chains_of(chain, seeds).values()]
    return Training(looks[0].ingredients or {}, tuple(look.key or "" for look in looks), bool(seeds))


def hold_challenge(
    chain: Chain,
    request: RetrainRequest,
    history: Sequence[Event],
    challenge: Challenge,
    record: RunRecord,
    teller: Reporter,
) -> Chain:
    """Train, compare and ask the gates; what came of it is in `challenge`.

    Returns:
        The challenger's chain. When no gate refused it, its release is published.
    """
    seeds = request.seeds or chain.settings.retrain.seeds
    run_one(chain, "upload", record)
    champion = _champion_chain(chain, challenge.champion, challenge, record)
    candidates = chains_of(chain, seeds)
    for seed, other in candidates.items():
        for name in LEARNT:
            run_one(other, name, record, title=f"{name} seed {seed}" if seeds else "")
    accuracies = [(metrics_of(other)["accuracy"], seed) for seed, other in candidates.items()]
    if champion is not None:
        challenge.trials += [
            Trial(seed, accuracy, compared(champion, candidates[seed])) for accuracy, seed in accuracies
        ]
    accuracy, seed = accuracies[median(accuracies)]
    challenger = chain
    if seeds:
        teller.line("retrain", f"the median of {len(candidates)} seeds is seed {seed} (accuracy {accuracy:.4f})")
        settings = {**request.settings, "train.seed": str(seed)}
        challenger = open_chain(request.profile, settings, teller)
        for name in (*PREPARED, *LEARNT):
            run_one(challenger, name, record, title=f"{name} of the challenger")
    challenge.metrics["challenger"] = metrics_of(challenger)
    challenge.checkpoint = challenger.known["train"].outputs["checkpoint"].sha256
    for name, decide in _gates(challenger, champion, challenge, seed, history, record):
        decision = decide()
        challenge.gates.append((name, decision))
        _show(name, decision)
        if not decision.ok:
            return challenger
    run_one(challenger, "publish", record)
    return challenger


def _champion_chain(chain: Chain, champion: Champion | None, challenge: Challenge, record: RunRecord) -> Chain | None:
    """The champion's checkpoint, evaluated on today's data by today's code."""
    if champion is None:
        return None
    other = checkpoints.about(chain, trained_by(chain, champion))
    run_one(other, "evaluate", record, title="evaluate the champion")
    challenge.metrics["champion"] = metrics_of(other)
    return other


def _gates(
    challenger: Chain,
    champion: Chain | None,
    challenge: Challenge,
    seed: int,
    history: Sequence[Event],
    record: RunRecord,
) -> Iterator[tuple[str, Callable[[], Decision]]]:
    """The gates in their order; what a gate needs is run when it is asked."""
    wanted = challenger.settings.retrain

    def robustness() -> Decision:
        assert champion is not None  # noqa: S101 - without one this gate is not asked
        for side, other in (("champion", champion), ("challenger", _about(challenger))):
            for name in ("corrupt", "robustness"):
                run_one(other, name, record, title=f"{name} of the {side}" if name == "robustness" else "")
            challenge.robustness[side] = robustness_of(other)
        found = challenge.robustness
        return robustness_gate(found["champion"], found["challenger"], wanted.max_robustness_drop)

    def parity() -> Decision:
        for name in ("export", "convert"):
            run_one(challenger, name, record)
        return _decided(challenger, "convert")

    stands = challenge.champion.release if challenge.champion else ""
    asked_for = any(reason.kind == "word" for reason in challenge.reasons)
    yield "decided before", lambda: decided_gate(history, stands, challenge.checkpoint, asked_for=asked_for)
    yield "accuracy", lambda: _decided(challenger, "evaluate")
    if champion is not None:
        before, after = challenge.metrics["champion"], challenge.metrics["challenger"]
        (own,) = (trial for trial in challenge.trials if trial.seed == seed)
        yield "McNemar's test", lambda: better(own.comparison, wanted.significance)
        if len(challenge.trials) > 1:
            yield "majority of the seeds", lambda: majority(challenge.trials, wanted.significance)
        yield "recall of each class", lambda: recall_gate(before, after, wanted.max_recall_drop)
        if wanted.robustness:
            yield "robustness", robustness
    yield "parity", parity
    if challenge.champion is not None:
        emulated = challenge.champion.emulated
        yield "as real as the champion", lambda: provenance_gate(emulated, stand_ins(challenger))


def _about(chain: Chain) -> Chain:
    return checkpoints.about(chain, chain.known["train"])


def _decided(chain: Chain, stage: str) -> Decision:
    decision = gate_after(chain, stage)
    assert decision is not None  # noqa: S101 - the stage has just run, and has a gate
    return decision


def _show(name: str, decision: Decision) -> None:
    """A gate as a task of the flow run: a no is an answer, and no failure of the run."""

    @task(name=f"gate: {name}", task_run_name=f"gate: {name}", cache_policy=NO_CACHE, persist_result=False)
    def gate_task() -> State[Any]:
        return Completed(name="Passed" if decision.ok else "Refused", message=decision.reason)

    gate_task()
