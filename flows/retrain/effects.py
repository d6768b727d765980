"""The effects of retraining and demotion, in one class; a test replaces its methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from prefect import State, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from flows.context import open_chain
from flows.pipeline import run_one
from flows.requests import Target
from flows.retrain.challenge import ChallengeContext, planned_training, run_challenge
from flows.retrain.promotion import Approval, ChampionRollout, approval, check_rollout
from infra.champions import Champion, Registry, RegistryState
from infra.fleet import Fleet
from infra.store.runs import RunRecord
from tasks.engine.chain import Chain
from tasks.engine.stage import Reporter
from tasks.orchestration.events import report_fallen_boards
from tasks.reports import run
from tasks.retrain.champions import (
    champion_of,
    demotion_target,
    emit_champion_event,
    registry_of,
    release_folder,
    training_receipt,
)
from tasks.retrain.drift import BoardDrift, survey
from tasks.retrain.reasons import Training


def boards_of(chain: Chain, champion: Champion) -> list[str]:
    """List the boards of the settings that are meant to run the champion."""
    wanted = Fleet(chain.home).wanted()
    return [name for name, release in wanted.items() if release == champion.release and name in chain.settings.boards]


class Effects:
    """What retraining and demotion do to the world, through Prefect and the engine."""

    def open_chain(self, target: Target, reporter: Reporter) -> Chain:
        """Open the chain of a request, and check that a rollout could follow."""
        chain = open_chain(target.profile, target.settings, reporter)
        check_rollout(chain)
        return chain

    def registry(self, chain: Chain) -> Registry:
        """Open the registry."""
        return registry_of(chain)

    def run_stage(self, chain: Chain, stage: str, record: RunRecord) -> None:
        """Run or reuse a stage."""
        run_one(chain, stage, record)

    def planned_training(self, chain: Chain, seeds: Sequence[int]) -> Training:
        """Describe the training of the challenge."""
        return planned_training(chain, seeds)

    def training_ingredients(self, chain: Chain, champion: Champion) -> Mapping[str, Any]:
        """Read the ingredients of the champion's training."""
        return training_receipt(chain, champion).ingredients

    def check_boards(self, chain: Chain, champion: Champion) -> list[BoardDrift]:
        """Compute the drift of the boards that run the champion, and notify of those that fell back."""
        boards = boards_of(chain, champion)
        found: list[BoardDrift] = []

        @task(name="boards", task_run_name="check boards for drift", cache_policy=NO_CACHE, persist_result=False)
        def check() -> State[Any]:
            found.extend(survey(chain.world, Fleet(chain.home), boards, chain.settings.drift))
            report_fallen_boards(chain, boards)
            return Completed(message=", ".join(f"{item.board}: {item.found}" for item in found))

        if boards:
            check()
        return found

    def run_challenge(self, context: ChallengeContext) -> Chain:
        """Train and compare, and ask the gates; returns the challenger's chain."""
        return run_challenge(context)

    def publish_run(self, chain: Chain, record: RunRecord) -> None:
        """Attach the report of the stages to the flow run."""
        run.publish(chain, record)

    def publish_report(self, text: str) -> None:
        """Attach the report of the challenge to the flow run."""
        create_markdown_artifact(text, key="retraining", description="Champion against challenger")

    def candidate(self, chain: Chain, who: str, why: str) -> Champion:
        """Describe the challenger as a champion."""
        return champion_of(chain, who, why)

    def wait_for_approval(self, release: str, report: str, hours: float) -> Approval | None:
        """Wait for a person."""
        return approval(release, report, hours)

    def release_folder(self, chain: Chain, champion: Champion) -> Path:
        """Find the release of a champion."""
        return release_folder(chain, champion)

    def demotion_target(self, chain: Chain, state: RegistryState, to: str) -> Champion:
        """Find the former champion to return to."""
        return demotion_target(chain, state, to)

    def emit_event(
        self, kind: Literal["promoted", "demoted"], about: Champion, champion: Champion, who: str, why: str
    ) -> None:
        """Emit an event for automations."""
        emit_champion_event(kind, about, champion, who, why)

    def rollout(self, chain: Chain, champion: Champion, target: Target) -> ChampionRollout:
        """Prepare the rollout of a champion's release."""
        return ChampionRollout(chain, champion, target, folder_of=self.release_folder)
