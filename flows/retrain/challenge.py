"""A challenge: train the challenger, evaluate it and the champion on the same images, and ask each gate in turn.

Everything is an ordinary stage with its receipt. The first gate that refuses ends the challenge, so that nothing is
exported or published for a challenger that does not win.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
from tasks.retrain.challenge import SIDES, Challenge, Gate, GateResult
from tasks.retrain.champions import emulated_stages, training_receipt
from tasks.retrain.evaluation import compare_chains, evaluation_of, robustness_of
from tasks.retrain.gates import (
    Trial,
    decided_gate,
    majority_gate,
    mcnemar_gate,
    median,
    provenance_gate,
    recall_gate,
    robustness_gate,
)
from tasks.retrain.reasons import Training

PREPARATION = ("download", "upload")
LEARNING = ("train", "evaluate")


@dataclass(frozen=True)
class ChallengeContext:
    """What a challenge works with.

    Attributes:
        chain: with the data set of today.
        request: of the retraining.
        history: of the registry.
        challenge: filled in step by step.
        record: of the run.
        reporter: shows progress.
    """

    chain: Chain
    request: RetrainRequest
    history: Sequence[Event]
    challenge: Challenge
    record: RunRecord
    reporter: Reporter

    @property
    def seeds(self) -> Sequence[int]:
        """Seeds of the challengers; empty for the recipe's own."""
        return self.request.seeds or self.chain.settings.retrain.seeds


def chains_by_seed(chain: Chain, seeds: Sequence[int]) -> dict[int, Chain]:
    """Build a chain for the training with each seed; without seeds, the chain itself by its recipe's own seed."""
    if not seeds:
        return {int(chain.stages["train"].settings(chain.settings)["seed"]): chain}
    chains = {}
    for seed in dict.fromkeys(seeds):
        train = chain.settings.train.model_copy(update={"seed": seed})
        stages = tuple(chain.stages.values())
        chains[seed] = chain.with_settings(stages, chain.settings.model_copy(update={"train": train}))
        chains[seed].known.update({name: chain.known[name] for name in PREPARATION if name in chain.known})
    return chains


def planned_training(chain: Chain, seeds: Sequence[int]) -> Training:
    """Describe the training of a challenge without running it; the data set of the chain is known."""
    looks = [other.look(other.stages["train"]) for other in chains_by_seed(chain, seeds).values()]
    return Training(looks[0].ingredients or {}, tuple(look.key or "" for look in looks), bool(seeds))


def run_challenge(context: ChallengeContext) -> Chain:
    """Train and compare, and ask the gates; the results are in `context.challenge`.

    Returns:
        The challenger's chain. When no gate refused, its release is published.
    """
    chain, challenge, record = context.chain, context.challenge, context.record
    run_one(chain, "upload", record)
    champion = _evaluate_champion(context)
    candidates = chains_by_seed(chain, context.seeds)
    for seed, candidate in candidates.items():
        for name in LEARNING:
            run_one(candidate, name, record, title=f"{name} seed {seed}" if context.seeds else "")
    accuracies = [(evaluation_of(candidate).metrics.accuracy, seed) for seed, candidate in candidates.items()]
    if champion is not None:
        challenge.trials += [
            Trial(seed, accuracy, compare_chains(champion, candidates[seed])) for accuracy, seed in accuracies
        ]
    accuracy, seed = accuracies[median(accuracies)]
    challenger = chain
    if context.seeds:
        context.reporter.line("retrain", f"the median of {len(candidates)} seeds is seed {seed} ({accuracy:.4f})")
        challenger = _open_challenger(context, seed)
    challenge.evaluations["challenger"] = evaluation_of(challenger)
    challenge.checkpoint = challenger.known["train"].outputs["checkpoint"].sha256
    for gate, decide in _gates(context, challenger, champion, seed):
        result = GateResult(gate, decide())
        challenge.gates.append(result)
        _show(result)
        if not result.decision.ok:
            return challenger
    run_one(challenger, "publish", record)
    return challenger


def _open_challenger(context: ChallengeContext, seed: int) -> Chain:
    """Open a chain with the seed in its settings, whose results appear in `latest/`."""
    settings = {**context.request.settings, "train.seed": str(seed)}
    challenger = open_chain(context.request.profile, settings, context.reporter)
    for name in (*PREPARATION, *LEARNING):
        run_one(challenger, name, context.record, title=f"{name} of the challenger")
    return challenger


def _evaluate_champion(context: ChallengeContext) -> Chain | None:
    """Evaluate the champion's checkpoint on today's data with today's code."""
    champion: Champion | None = context.challenge.champion
    if champion is None:
        return None
    chain = checkpoints.chain_with_training(context.chain, training_receipt(context.chain, champion))
    run_one(chain, "evaluate", context.record, title="evaluate the champion")
    context.challenge.evaluations["champion"] = evaluation_of(chain)
    return chain


def _gates(
    context: ChallengeContext, challenger: Chain, champion: Chain | None, seed: int
) -> Iterator[tuple[Gate, Callable[[], Decision]]]:
    """List the gates in their order; the stages that a gate needs run when it decides."""
    challenge, bounds = context.challenge, challenger.settings.retrain
    yield (
        Gate.DECIDED_BEFORE,
        lambda: decided_gate(context.history, challenge.over, challenge.checkpoint, requested=challenge.requested),
    )
    yield Gate.ACCURACY, lambda: _decision_after(challenger, "evaluate")
    if champion is not None:
        before, after = challenge.evaluations["champion"].recall, challenge.evaluations["challenger"].recall
        (own,) = (trial for trial in challenge.trials if trial.seed == seed)
        yield Gate.MCNEMAR, lambda: mcnemar_gate(own.comparison, bounds.significance)
        if len(challenge.trials) > 1:
            yield Gate.MAJORITY, lambda: majority_gate(challenge.trials, bounds.significance)
        yield Gate.RECALL, lambda: recall_gate(before, after, bounds.max_recall_drop)
        if bounds.robustness:
            yield Gate.ROBUSTNESS, partial(_robustness, context, champion, challenger)
    yield Gate.PARITY, partial(_parity, context, challenger)
    if challenge.champion is not None:
        emulated = challenge.champion.emulated
        yield Gate.PROVENANCE, lambda: provenance_gate(emulated, emulated_stages(challenger))


def _robustness(context: ChallengeContext, champion: Chain, challenger: Chain) -> Decision:
    """Measure both models on corrupted images, and compare."""
    measured = checkpoints.chain_with_training(challenger, challenger.known["train"])
    found = context.challenge.robustness
    for side, chain in zip(SIDES, (champion, measured), strict=True):
        run_one(chain, "corrupt", context.record)
        run_one(chain, "robustness", context.record, title=f"robustness of the {side}")
        found[side] = robustness_of(chain)
    bound = challenger.settings.retrain.max_robustness_drop
    return robustness_gate(found["champion"], found["challenger"], bound)


def _parity(context: ChallengeContext, challenger: Chain) -> Decision:
    for name in ("export", "convert"):
        run_one(challenger, name, context.record)
    return _decision_after(challenger, "convert")


def _decision_after(chain: Chain, stage: str) -> Decision:
    decision = gate_after(chain, stage)
    assert decision is not None  # noqa: S101 - the stage has just run, and has a gate
    return decision


def _show(result: GateResult) -> None:
    """Show a gate as a task of the flow run; a refusal is a result, not a failure of the run."""
    title = f"gate: {result.gate}"

    @task(name=title, task_run_name=title, cache_policy=NO_CACHE, persist_result=False)
    def gate_task() -> State[Any]:
        return Completed(name="Passed" if result.decision.ok else "Refused", message=result.decision.reason)

    gate_task()
