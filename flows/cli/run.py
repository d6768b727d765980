"""`atlasflow run`: the main job, or a part of it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import completion, fresh_run
from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.results import results
from flows.context import all_fresh, open_chain, select_boards
from infra.errors import UserError
from infra.home import INPUTS
from infra.settings import sources
from infra.store import fresh_cache
from tasks.engine.chain import Chain
from tasks.pipeline import NAMES, OPTIONAL, select

STAGES = f"The stages are {', '.join(NAMES)}; and on request {', '.join(stage.name for stage in OPTIONAL)}."


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "run",
        epilog="Examples: `atlasflow run` · `atlasflow run --set train.epochs=3` · "
        "`atlasflow run --stage evaluate --force evaluate` · `atlasflow run --from export`",
    )(run)


def run(
    profile: Profile = "local",
    stage: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Run this stage only; may be given several times. {STAGES}", autocompletion=completion.stages
        ),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="Start at this stage.", autocompletion=completion.stages)
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Stop after this stage.", autocompletion=completion.stages)
    ] = None,
    force: Annotated[
        list[str] | None, typer.Option(help="Run this stage even when it is fresh.", autocompletion=completion.stages)
    ] = None,
    settings: Set = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="Check bucket and boards again, even when all is fresh.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="With --prove: read every byte in the bucket.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Create a run in Prefect, even when all is fresh.")] = False,
) -> None:
    """Run the chain, or a part of it; stages that are fresh are reused.

    When everything is fresh, nothing is started: the answer comes from the receipts.
    """
    begun_ns = fresh_cache.now_ns()
    selected = select(stage or (), first, last)
    forced = select(force) if force else ()
    if set(forced) - set(selected):
        raise UserError(f"--force {' '.join(sorted(set(forced) - set(selected)))} is not among the stages to run")
    overrides = parse_overrides(settings)
    if deep and not prove:
        raise UserError("--deep says how to prove", hint="use --prove --deep")
    chain = open_chain(profile, overrides, fresh_run.Printer(), selected)
    chain.world.deep = deep
    if "deploy" in selected and chain.settings.deploy.boards:
        select_boards(chain.settings, chain.settings.deploy.boards)  # report an unknown board before the training
    if not forced and not record and ((prove and _was_fresh(chain)) or all_fresh(chain, selected)):
        repeated = chain.prove(chain.stages[name] for name in selected) if prove else {}
        chain.update_latest(selected)
        stages = [fresh_run.stage_of(chain.known[name]) for name in selected]
        facts = results(chain, selected)
        answer = {
            "stages": stages,
            "facts": facts,
            "keys": {name: receipt.key for name, receipt in chain.known.items()},
        }
        depends_on = [*sources(profile), *_dependencies(chain)]
        if not any(path.is_relative_to(chain.home / INPUTS) for path in depends_on):  # a bucket may change
            fresh_cache.remember(chain.home, _without_prove(), begun_ns, depends_on, answer)
        fresh_run.show(stages, chain.home, facts, {name: str(reason) for name, reason in repeated.items()})
        return
    from flows.cli.terminal import run_with_prefect  # noqa: PLC0415 - Prefect takes seconds, and a fresh chain needs none

    run_with_prefect(chain, profile, overrides, selected, forced)


def _was_fresh(chain: Chain) -> bool:
    """Check whether the same run without `--prove` was fresh, and no file has changed since."""
    answer = fresh_cache.recall(chain.home, _without_prove())
    return answer is not None and chain.adopt(answer["keys"])


def _without_prove() -> list[str]:
    return [argument for argument in sys.argv[2:] if argument not in ("--prove", "--deep")]


def _dependencies(chain: Chain) -> list[Path]:
    """List the files that the answer of a fresh run depends on."""
    paths = []
    for name, receipt in chain.known.items():
        paths.append(chain.receipts.path(name, receipt.key))
        for artifact in receipt.outputs.values():
            if artifact.kind == "tree":
                paths.append(chain.store.tree_path(artifact.sha256))
            paths += [file.path for file in chain.store.files(artifact).values()]
        marks = (*chain.stages[name].records, f"latest/{name}")
        paths += [chain.home / mark for mark in marks if (chain.home / mark).exists()]
        for given in chain.stages[name].external_inputs(chain.settings).values():
            paths += [item for item in (given, *given.rglob("*")) if "__pycache__" not in item.parts]
    return paths
