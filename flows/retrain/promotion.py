"""What belongs to a change of champion: a person's approval before it, and the rollout after it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import FlowPauseTimeout, ObjectNotFound
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Running
from pydantic import Field

from flows.requests import Target
from flows.rollout import OnStop, RolloutRequest, rollout
from infra.champions import Champion, Registry
from infra.errors import UserError
from tasks.engine.chain import Chain
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter
from tasks.fleet.waves import cut_waves
from tasks.orchestration.prefect_task import FlowReporter
from tasks.retrain.champions import release_folder

STAGE = "retrain"
DEPLOYMENT = "rollout/rollout"
_POLL_SECONDS = 5


class Approval(RunInput):
    """The form for a person before a promotion, in the Prefect UI."""

    approve: bool = Field(False, description="promote the challenger?")
    who: str = Field("", description="your name, for the history")
    reason: str = Field("", description="why, for the history")


@flow(name="approval", flow_run_name="approval of release {release}", persist_result=False)
def approval(release: str, report: str, hours: float) -> Approval | None:
    """Wait for a person's approval before a promotion; None when there was none in time.

    It is a flow run of its own within the retraining. A run that pauses gives up the slot of its deployment, so another
    retraining could start; and it is cancelled when it next renews that slot (Prefect 3.8), after less than four
    minutes.
    """
    return wait_for_approval(release, report, hours, FlowReporter(reporter.get()))


def resume_run() -> None:
    """Set the current flow run to running again after its pause timed out, which the server counts as a failure."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Running(), force=True)


def wait_for_approval(
    release: str,
    summary: str,
    hours: float,
    reporter: Reporter,
    *,
    pause: Callable[..., Any] = pause_flow_run,
    resume: Callable[[], None] = resume_run,
) -> Approval | None:
    """Pause the current flow run until a person answers in the Prefect UI.

    Args:
        release: the release to be promoted.
        summary: Markdown above the form.
        hours: how long to wait.
        reporter: shows the address of the form.
        pause: pauses the flow run until the form is submitted.
        resume: sets the flow run to running again.

    Returns:
        The answer; None when there was none in time.
    """
    reporter.line(STAGE, f"release {release} waits up to {hours:g} hours for approval: {flow_run.ui_url}")
    form = Approval.with_initial_data(description=summary)
    timeout = max(1, round(hours * 3600))
    try:
        # A run that is resumed after a crash waits again; under the same key, its form would exist already.
        answer: Approval = pause(wait_for_input=form, timeout=timeout, poll_interval=_POLL_SECONDS, key=uuid4().hex)
    except FlowPauseTimeout:
        resume()
        return None
    return answer


def deployment_exists(name: str) -> bool:
    """Ask the Prefect server for a deployment."""
    try:
        with get_client(sync_client=True) as client:
            client.read_deployment_by_name(name)
    except ObjectNotFound:
        return False
    return True


def check_rollout(chain: Chain, exists: Callable[[str], bool] = deployment_exists) -> None:
    """Refuse settings with which the rollout after a promotion would fail.

    Raises:
        UserError: a wave size in `retrain.waves` is wrong, or the deployment of the rollout does not exist.
    """
    settings = chain.settings.retrain
    cut_waves(("any",), settings.waves)
    if settings.rollout == "deployment" and not exists(DEPLOYMENT):
        what = f"the Prefect server has no deployment {DEPLOYMENT}, which retrain.rollout needs"
        raise UserError(what, hint="`atlasflow serve` or `atlasflow deployments apply` creates it")


@dataclass(frozen=True)
class ChampionRollout:
    """The rollout of a champion's release, as `[retrain]` says.

    Attributes:
        chain: its settings count.
        champion: its release is rolled out.
        target: profile and settings of the rollout.
        subflow: rolls out within the current run.
        deployment: starts a run of the deployment.
        folder_of: finds the champion's release here.
    """

    chain: Chain
    champion: Champion
    target: Target
    subflow: Callable[[RolloutRequest], object] = rollout
    deployment: Callable[..., object] = run_deployment
    folder_of: Callable[[Chain, Champion], Path] = release_folder

    def release(self) -> str:
        """Find the release for the rollout; empty when no board gets it.

        Raises:
            UserError: the release is gone.
            Corrupt: its files are damaged.
        """
        settings = self.chain.settings.retrain
        if settings.rollout == "none" or not (settings.boards == "fleet" or self._boards()):
            return ""
        if settings.rollout == "deployment":
            return self.champion.published
        return str(self.folder_of(self.chain, self.champion))

    def start(self, on_stop: OnStop) -> str:
        """Roll the release out, or start a deployment that does.

        Args:
            on_stop: what is undone when too many boards fail.

        Returns:
            A sentence about what was started; empty for a rollout within this run.

        Raises:
            GateFailed: the rollout stopped; with `on_stop` "fleet", boards and registry are restored.
            UserError: the release is gone.
        """
        settings, release = self.chain.settings.retrain, self.release()
        if not release:
            return f"no board gets release {self.champion.release} (retrain.rollout, deploy.boards)"
        request = RolloutRequest(
            profile=self.target.profile,
            settings={**self.target.settings, "deploy.release": release},
            boards=self._boards(),
            everything=settings.boards == "fleet",
            waves=settings.waves,
            max_failed=settings.max_failed,
            on_stop=on_stop,
        )
        if settings.rollout == "deployment":
            self.deployment(DEPLOYMENT, parameters={"request": request.model_dump(mode="json")}, timeout=0)
            return f"the deployment {DEPLOYMENT} rolls out release {self.champion.release}"
        self.subflow(request)
        return ""

    def _boards(self) -> tuple[str, ...]:
        return self.chain.settings.deploy.boards if self.chain.settings.retrain.boards == "deploy" else ()


def roll_out(rollout: ChampionRollout, registry: Registry, reporter: Reporter, *, on_stop: OnStop) -> None:
    """Start the rollout of a champion, and record in the registry that it was started.

    Raises:
        GateFailed: the rollout stopped.
        UserError: the release is gone.
    """
    started = rollout.start(on_stop)
    if started:
        reporter.line(STAGE, started)
    registry.mark_rolled_out(rollout.champion.release)
