"""`atlasflow compare`: two runs or trainings beside each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_facts, print_json, print_line, print_table
from flows.context import open_chain
from infra.prefect_server import server
from infra.store.runs import RunRecord, Runs
from tasks.engine.chain import Chain
from tasks.engine.diff import Cause, Reason
from tasks.engine.reporter import Silent

if TYPE_CHECKING:
    from tasks.reports.class_gain import ClassGain
    from tasks.reports.training_comparison import Training, TrainingComparison

Name = Annotated[str, typer.Argument(help="'latest', a run's id, or the start of a training's key.")]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        epilog="Examples: `atlasflow compare latest 3fa1c2` · `atlasflow runs` lists the ids of runs · "
        "`atlasflow compare 3fa1c2 77e0b1 --json`"
    )(compare)


def compare(
    first: Name,
    second: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG file to write.")] = Path("comparison.png"),
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Compare two runs: settings, metrics, what each class gained with its 95 % interval, and where to look on."""
    chain = open_chain(profile, parse_overrides(settings), Silent())
    chain.look_at_all()
    show_comparison(chain, (first, second), output, as_json=as_json)


def show_comparison(chain: Chain, names: tuple[str, str], output: Path, *, as_json: bool) -> None:
    """Print what two trainings differ in, and draw it.

    Args:
        chain: has looked at its stages.
        names: `latest`, a run's id, or the start of a training's key.
        output: the PNG file.
        as_json: print JSON instead.

    Raises:
        UserError: nothing, or more than one training, has this name.
    """
    from tasks.reports import training_comparison  # noqa: PLC0415 - NumPy

    first, second = (training_comparison.find_training(chain, name) for name in names)
    found = training_comparison.compare(chain, first, second)
    training_comparison.draw(found, output)
    pair = [training_comparison.figures(chain, training) for training in (first, second)]
    if as_json:
        keys = {"first": first.receipt.key, "second": second.receipt.key}
        gains = [*found.classes, *([] if found.total is None else [found.total])]
        differences = list(map(str, found.differences))
        print_json({**keys, "differences": differences, "figures": pair, "gains": gains})
        return
    for line in Reason(Cause.INGREDIENTS_CHANGED, found.differences).lines() or ["the same training"]:
        print_line(line)
    print_line("")
    rows = zip(pair[0].rows(), pair[1].rows(), strict=True)
    print_table(("", *names), [(title, one, two) for (title, one), (_, two) in rows], right=names)
    print_line("")
    _print_gains(found, names)
    print_facts([*_links(chain, first), *_links(chain, second), ("picture", str(output))])


def _print_gains(found: "TrainingComparison", names: tuple[str, str]) -> None:
    rows = [*found.classes, *([] if found.total is None else [found.total])]
    if not rows:
        print_line("no figures by class: both need an evaluation on the same images (`atlasflow run --to evaluate`)")
        return
    titles = ("class", "images", *names, "gain", "95 % interval")
    cells = [(row.name, str(row.images), f"{row.first:.2%}", f"{row.second:.2%}", *_gain(row)) for row in rows]
    print_table(titles, cells, right=titles[1:])
    print_line("a star marks a gain or loss that chance does not explain (95 %, each row for itself)")


def _gain(row: "ClassGain") -> tuple[str, str]:
    star = " *" if row.certain else "  "
    return f"{row.gain * 100:+.2f}{star}", f"{row.low * 100:+.2f} … {row.high * 100:+.2f}"


def _links(chain: Chain, training: "Training") -> list[tuple[str, str]]:
    """Where a training is shown: its run in Prefect, its curves in Aim, its checkpoint."""
    from infra.tracking import repository  # noqa: PLC0415 - only for who compares

    links = []
    record = _run_of(chain, training)
    if record is not None and record.flow_run:
        place = server.address(chain.world.services, chain.settings.prefect)
        links.append((f"{training.name} in Prefect", f"{place}/runs/flow-run/{record.flow_run}"))
    page = repository.page(chain.world.services, chain.home, chain.settings.tracking, training.receipt.key)
    if page is not None:
        links.append((f"{training.name} in Aim", page))
    checkpoint = training.receipt.outputs.get("checkpoint")
    if checkpoint is not None:
        links.append((f"{training.name}, checkpoint", str(chain.store.path(checkpoint))))
    return links


def _run_of(chain: Chain, training: "Training") -> RunRecord | None:
    """The run that a training is named by; else the newest with it."""
    records = [
        record
        for record in Runs(chain.home).latest()
        if any((item.stage, item.key) == ("train", training.receipt.key) for item in record.stages)
    ]
    return next((record for record in records if record.id == training.name), records[0] if records else None)
