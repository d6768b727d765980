"""`atlasflow tune`: search for the network and the training with the best score."""

import csv
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_facts, print_json, print_line, print_table
from flows.context import open_chain
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.tune.space import space_of
from tasks.tune.study import check, check_names

_SHOWN = 25  # rows in the terminal; the file has all of them


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        epilog="Examples: `atlasflow tune --space train.learning_rate=0.01,0.1 --space train.schedule=cosine,square` · "
        "`atlasflow tune --networks lenet5,resnet20 --space train.width=0.5,1 --set train.epochs=10` · "
        "`atlasflow tune --search tpe --trials 30 --space train.learning_rate=log:0.001..0.2 "
        "--space train.batch_size=16,32,64 --minutes 45` · "
        "`atlasflow tune --recipes lenet5-sample,quick --cluster tcp://192.168.1.9:8786 --promote`"
    )(tune)


def tune(
    recipes: Annotated[
        str, typer.Option(help="Recipes to try, separated by commas; by default that of the settings.")
    ] = "",
    networks: Annotated[str, typer.Option(help="Networks to try with each recipe, separated by commas.")] = "",
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="A field to vary: `train.FIELD=VALUE,VALUE`, `train.FIELD=LOW..HIGH`, or `log:LOW..HIGH` for equal "
            "ratios; may be given several times."
        ),
    ] = None,
    search: Annotated[
        Literal["grid", "random", "tpe"],
        typer.Option(help="grid (all, in a shuffled order), random, or tpe (learns as it goes)."),
    ] = "grid",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Configurations in all; by default the whole grid, else 20.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after this time; the same command goes on where it stopped.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the search; vary train.seed for that of trainings.")] = 1,
    study: Annotated[str, typer.Option(help="A name for the search; by default one made from what is searched.")] = "",
    cluster: Annotated[
        str, typer.Option(help="Train on the workers of this Dask scheduler, such as tcp://host:8786.")
    ] = "",
    promote: Annotated[
        bool, typer.Option("--promote", help="Let the best trial challenge the champion in the end.")
    ] = False,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Search for the network and the training with the best score.

    score = 0.50 · accuracy (%) - 0.35 · size (MB) - 0.15 · latency (ms). Each trial is an ordinary training with its
    receipt, so that none is done twice; hopeless ones are stopped early (`--set tune.prune=none` lets all go on).
    """
    fields, overrides = parse_overrides(space), parse_overrides(settings)
    chain = open_chain(profile, overrides, Silent())
    # Refuse an invalid request before Prefect starts.
    check_names(study, cluster)
    check(search, space_of(_names(recipes) or (chain.settings.train.recipe,), _names(networks), fields))
    values = {
        "profile": profile,
        "settings": overrides,
        "recipes": _names(recipes),
        "networks": _names(networks),
        "space": fields,
        "search": search,
        "trials": trials,
        "minutes": minutes,
        "seed": seed,
        "study": study,
        "cluster": cluster,
        "promote": promote,
    }
    folder, result, address = _in_prefect(chain, values)
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if as_json:
        print_json({"study": folder.name, "folder": folder, "said": result, "trials": rows})
        return
    _show(rows, folder, result, address)


def _in_prefect(chain: Chain, values: dict[str, Any]) -> tuple[Path, str, str]:
    """Run the flow on the installation's server; returns the study's folder, the result, and the run's address."""
    from flows.cli.terminal import under_prefect  # noqa: PLC0415 - Prefect takes seconds

    with under_prefect(chain, Console(stderr=True)) as address:
        from flows.requests import TuneRequest, parse_request  # noqa: PLC0415
        from flows.tune.flow import FOLDER  # noqa: PLC0415
        from flows.tune.flow import tune as tuning  # noqa: PLC0415

        state = tuning(parse_request(TuneRequest, values), return_state=True)
        name = state.result()
    run = f"{address}/runs/flow-run/{state.state_details.flow_run_id}"
    return chain.home / FOLDER / str(name), state.message or "", run


def _show(rows: list[dict[str, str]], folder: Path, result: str, address: str) -> None:
    print_table(tuple(rows[0]), [tuple(row.values()) for row in rows[:_SHOWN]])
    if len(rows) > _SHOWN:
        print_line(f"… and {len(rows) - _SHOWN} more in trials.csv")
    print_line(result)
    print_facts([("table, summary, plots", str(folder)), ("run in Prefect", address)])


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
