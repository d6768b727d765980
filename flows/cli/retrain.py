"""`atlasflow retrain` and `atlasflow champion`: challenge the release in service, show it, return to a former one."""

import getpass
import time
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_facts, print_json, print_line, print_table
from flows.context import open_chain
from infra.champions import Champion
from infra.errors import UserError
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.retrain.champions import demotion_target, registry_of

champion = typer.Typer(help="Show the release in service and its history, and return to a former one.")
Why = Annotated[str, typer.Option("--reason", help="Why, for the history.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(
        epilog="Examples: `atlasflow retrain` · `atlasflow retrain --reason 'new optics' --seeds 1,2,3` · "
        "`atlasflow retrain --set train.epochs=50 --set retrain.approval=true`"
    )(retrain)
    champion.command("show", epilog="Example: `atlasflow champion show --json`")(show)
    champion.command("history", epilog="Example: `atlasflow champion history`")(history)
    champion.command(
        "demote",
        epilog="Examples: `atlasflow champion demote --reason 'trucks look like cars'` · "
        "`atlasflow champion demote --to 0123456789abcdef`",
    )(demote)
    app.add_typer(champion, name="champion", epilog="Example: `atlasflow champion show`")


def retrain(
    reason: Annotated[
        str, typer.Option(help="Challenge the champion for this reason, even when there is no other.")
    ] = "",
    seeds: Annotated[str, typer.Option(help="Train a challenger with each seed, such as 1,2,3.")] = "",
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Challenge the champion when there is a reason, and promote the challenger when it is better.

    Reasons are: no champion yet, new data, changed code or recipe, age, drift on the boards, and yours.
    """
    overrides = parse_overrides(settings)
    values = {"reason": reason, "seeds": _numbers(seeds), "who": getpass.getuser()}
    chain = open_chain(profile, overrides, Silent())
    _run_flow(chain, "retrain", {"profile": profile, "settings": overrides, **values})


def show(profile: Profile = "local", as_json: Json = False) -> None:
    """Show the champion, and the former one to which a demotion returns."""
    state = registry_of(open_chain(profile, {}, Silent())).read()
    before = state.predecessor()
    if as_json:
        predecessor = before.release if before else None
        print_json({"champion": state.champion, "pending": state.pending, "predecessor": predecessor})
        return
    if state.champion is None:
        print_line("There is no champion yet: `atlasflow retrain` makes the first.")
        return
    print_facts([*_facts(state.champion), ("predecessor", before.release if before else "none")])
    if state.pending:
        print_line("The boards do not have it yet; `atlasflow retrain` deploys it first.")


def history(profile: Profile = "local", as_json: Json = False) -> None:
    """Show every promotion, demotion and lost challenge, oldest first."""
    events = registry_of(open_chain(profile, {}, Silent())).read().history
    if as_json:
        print_json(events)
        return
    rows = [(_moment(event.when), event.kind, event.about, event.champion, event.who, event.why) for event in events]
    print_table(("when", "what", "release", "champion then", "who", "why"), rows)


def demote(
    to: Annotated[str, typer.Option(help="A former champion's release; by default the predecessor.")] = "",
    reason: Why = "",
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Make a former champion the champion again, and give the boards its release."""
    overrides = parse_overrides(settings)
    chain = open_chain(profile, overrides, Silent())
    demotion_target(chain, registry_of(chain).read(), to)  # report what cannot work before Prefect starts
    values = {"to": to, "reason": reason, "who": getpass.getuser()}
    _run_flow(chain, "demote", {"profile": profile, "settings": overrides, **values})


def _run_flow(chain: Chain, name: str, values: dict[str, Any]) -> None:
    """Run a flow on the installation's server, and raise its error."""
    from flows.cli.terminal import under_prefect  # noqa: PLC0415 - Prefect takes seconds

    with under_prefect(chain, Console()) as address:
        from flows.requests import DemoteRequest, RetrainRequest, parse_request  # noqa: PLC0415
        from flows.retrain.demotion import demote as demotion  # noqa: PLC0415
        from flows.retrain.flow import retrain as retraining  # noqa: PLC0415

        if name == "retrain":
            state = retraining(parse_request(RetrainRequest, values), return_state=True)
        else:
            state = demotion(parse_request(DemoteRequest, values), return_state=True)
    print_line(f"in Prefect: {address}/runs/flow-run/{state.state_details.flow_run_id}")
    state.result()


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise UserError(f"'{text}' is not a list of seeds", hint="write whole numbers from 0, such as --seeds 1,2,3")
    return tuple(int(part) for part in parts)


def _facts(model: Champion) -> list[tuple[str, str]]:
    low, high = model.metrics.accuracy_interval_95
    metrics = f"accuracy {model.metrics.accuracy:.4f} ({low:.4f} – {high:.4f}) on {model.metrics.images:,} images"
    return [
        ("release", model.release),
        ("promoted", f"{_moment(model.when)} by {model.who}"),
        ("why", model.why),
        ("metrics", metrics),
        ("recipe", model.recipe),
        ("checkpoint", model.checkpoint),
        ("data", model.data),
        ("code", model.code),
        ("published", model.published),
        ("stand-ins", " ".join(model.emulated) or "none"),
    ]


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))
