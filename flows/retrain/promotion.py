"""What surrounds a change of champion: a person's word before it, and the boards after it."""

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
from tasks.fleet.state import cut_waves
from tasks.orchestration.prefect_task import FlowReporter
from tasks.retrain.champions import release_folder

STAGE = "retrain"
DEPLOYMENT = "rollout/rollout"
_POLL_SECONDS = 5


class Approval(RunInput):
    """What a person is asked before a promotion; the Prefect UI shows it as a form."""

    approve: bool = Field(False, description="promote the challenger?")
    who: str = Field("", description="your name, for the history")
    reason: str = Field("", description="why, for the history")


@flow(name="approval", flow_run_name="approval of release {release}", persist_result=False)
def approval(release: str, report: str, hours: float) -> Approval | None:
    """A person's answer before a promotion, or None when there was none in time.

    It is a flow run of its own, within the retraining. A run that pauses gives the slot of its deployment away, so that
    another one could begin; and it is ended when it next renews that slot (Prefect 3.8), after less than four minutes.
    """
    return ask(release, report, hours, FlowReporter(reporter.get()))


def ask(release: str, summary: str, hours: float, teller: Reporter) -> Approval | None:
    """Pause the current flow run until a person answers in the Prefect UI.

    Args:
        release: what is to be promoted.
        summary: Markdown that stands above the form.
        hours: how long to wait.
        teller: hears where the form is.

    Returns:
        The answer; None when there was none in time.
    """
    teller.line(STAGE, f"release {release} waits up to {hours:g} hours for a person: {flow_run.ui_url}")
    form = Approval.with_initial_data(description=summary)
    timeout = max(1, round(hours * 3600))
    try:
        # A run that died and was taken up again waits anew; by the same key, its form would be there already.
        return pause_flow_run(wait_for_input=form, timeout=timeout, poll_interval=_POLL_SECONDS, key=uuid4().hex)
    except FlowPauseTimeout:
        # The server ends a run whose pause ran out as failed; this one goes on, to say what became of the challenge.
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run.id, Running(), force=True)
        return None


def check_rollout(chain: Chain) -> None:
    """Refuse what would only fail after a promotion, when boards are told of it.

    Raises:
        UserError: `retrain.waves` holds something else than sizes, or there is no deployment that could be asked.
    """
    wanted = chain.settings.retrain
    cut_waves(("any",), wanted.waves)
    if wanted.rollout == "deployment":
        try:
            with get_client(sync_client=True) as client:
                client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound as error:
            what = f"the Prefect server has no deployment {DEPLOYMENT}, which retrain.rollout asks for"
            raise UserError(what, hint="`atlasflow serve` or `atlasflow deployments apply` makes it") from error


def tell_boards(
    chain: Chain, registry: Registry, champion: Champion, target: Target, teller: Reporter, *, on_stop: OnStop
) -> None:
    """Roll the champion's release out as `[retrain]` says, and note that the boards were told.

    Args:
        chain: whose settings count.
        registry: where it is noted.
        champion: whose release.
        target: profile and settings, for the rollout's own request.
        teller: hears when there is nobody to tell.
        on_stop: what is undone when too many boards fail.

    Raises:
        GateFailed: the rollout stopped; with `on_stop` "fleet" it put boards and registry back.
        UserError: the release is not here any more.
    """
    wanted = chain.settings.retrain
    boards = _boards(chain)
    release = release_for_boards(chain, champion)
    if release:
        request = RolloutRequest(
            profile=target.profile,
            settings={**target.settings, "deploy.release": release},
            boards=boards,
            everything=wanted.boards == "fleet",
            waves=wanted.waves,
            max_failed=wanted.max_failed,
            on_stop=on_stop,
        )
        if wanted.rollout == "deployment":
            run_deployment(DEPLOYMENT, parameters={"request": request.model_dump(mode="json")}, timeout=0)
            teller.line(STAGE, f"the deployment {DEPLOYMENT} rolls release {champion.release} out")
        else:
            rollout(request)
    else:
        teller.line(STAGE, f"no board is told of release {champion.release} (retrain.rollout, deploy.boards)")
    registry.told(champion.release)


def release_for_boards(chain: Chain, champion: Champion) -> str:
    """Where a rollout finds the champion's release; empty when no board is to be told of it.

    Raises:
        UserError: the release is not here any more.
        Corrupt: its files are damaged.
    """
    wanted = chain.settings.retrain
    if wanted.rollout == "none" or not (wanted.boards == "fleet" or _boards(chain)):
        return ""
    return champion.published if wanted.rollout == "deployment" else str(release_folder(chain, champion))


def _boards(chain: Chain) -> tuple[str, ...]:
    return chain.settings.deploy.boards if chain.settings.retrain.boards == "deploy" else ()
