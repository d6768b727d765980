"""`atlasflow show`: images, learning rates, a training's history, a network, a step."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.compare import show_comparison
from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line, print_table
from flows.context import open_chain
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.reports import inspection

Picture = Annotated[Path, typer.Option("--output", "-o", help="PNG file to write.")]
app = typer.Typer(
    no_args_is_help=True,
    help="Show images, learning rates, a training's history, a network, or where a step's time goes.",
)


def register(parent: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(epilog="Example: `atlasflow show samples --count 9 -o samples.png`")(samples)
    app.command(epilog="Example: `atlasflow show schedules constant square cosine --set train.epochs=3`")(schedules)
    app.command(epilog="Examples: `atlasflow show history` · `atlasflow show history --compare latest 3fa1c2`")(history)
    app.command(epilog="Example: `atlasflow show network --set train.recipe=resnet50-tutorial`")(network)
    app.command(epilog="Example: `atlasflow show step --set train.recipe=compact`")(step)
    app.command(epilog="Example: `atlasflow show learning-rate --set train.batch_size=128`")(learning_rate)
    parent.add_typer(app, name="show")


def samples(
    output: Picture = Path("samples.png"),
    count: Annotated[int, typer.Option(min=1, max=400, help="How many images.")] = 9,
    part: Annotated[str, typer.Option(help="train or eval.")] = "train",
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Draw the first images of the data set with their labels."""
    if part not in ("train", "eval"):
        raise typer.BadParameter("train or eval", param_hint="--part")
    rows = inspection.samples(_open(profile, settings), part, count, output)
    print_table(("image", "label"), [(str(index), label) for index, label in rows])
    print_line(f"picture: {output}")


def schedules(
    names: Annotated[
        list[str] | None, typer.Argument(help="constant, cosine, square, exponential, stage or one-cycle.")
    ] = None,
    output: Picture = Path("schedules.png"),
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Draw the learning rates of several schedules for the recipe."""
    chosen = names or ["constant", "square", "cosine"]
    rates, steps = inspection.schedules(_open(profile, settings), chosen, output)
    shares = (0, 0.25, 0.5, 0.75, 1)
    titles = ("schedule", *(f"at {share:.0%}" for share in shares), "highest")
    rows = [
        (name, *(f"{values[round(share * (len(values) - 1))]:.6f}" for share in shares), f"{max(values):.6f}")
        for name, values in rates.items()
    ]
    print_table(titles, rows, right=titles[1:])
    print_line(f"{len(rates[chosen[0]]):,} steps, {steps:,} an epoch")
    print_line(f"picture: {output}")


def history(
    output: Picture = Path("history.png"),
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B", help="Two trainings instead: each 'latest', a run's id, or the start of a training's key."
        ),
    ] = None,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Draw loss and accuracy of the training, epoch by epoch, or those of two trainings and what each class gained."""
    chain = _open(profile, settings)
    if compare is not None:
        show_comparison(chain, compare, output, as_json=as_json)
        return
    rows = inspection.history(chain, output)
    if as_json:
        print_json(rows)
        return
    columns = ("epoch", "loss", "evaluation_loss", "accuracy", "learning_rate", "images_per_second", "peak_memory_mb")
    print_table(columns, [tuple(_short(row[column]) for column in columns) for row in rows], right=columns)
    print_line(f"picture: {output}")


def network(profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Print every layer's output shape and parameters, then weights and biases; the network need not be trained."""
    chain = open_chain(profile, parse_overrides(settings), Silent())
    with tempfile.TemporaryDirectory() as folder:
        found = inspection.network(chain, Path(folder))
    if as_json:
        print_json(found)
        return
    rows = [
        (layer.name, layer.kind, " × ".join(map(str, layer.shape)), f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
        for layer in found.layers
    ]
    numbers = ("parameters", "multiply-adds")
    print_table(("layer", "kind", "output", *numbers), rows, right=numbers)
    arrays = [(array.name, " × ".join(map(str, array.shape)), f"{array.size:,}") for array in found.arrays]
    print_table(("parameter", "shape", "size"), arrays, right=("size",))
    print_line(f"{found.network}: {found.parameters:,} parameters, {found.multiply_adds:,} multiply-adds")


def step(
    output: Picture = Path("step.png"), profile: Profile = "local", settings: Set = None, as_json: Json = False
) -> None:
    """Measure where the milliseconds of a training step go, layer by layer; a few steps are trained on this machine."""
    chain = _open(profile, settings)
    with tempfile.TemporaryDirectory() as folder:
        found = inspection.step_times(chain, Path(folder), output)
    if as_json:
        print_json(found)
        return
    rows = [(layer.name, f"{layer.forward_ms:.3f}", f"{layer.backward_ms:.3f}") for layer in found.layers]
    rows += [(f"({name})", f"{milliseconds:.3f}", "") for name, milliseconds in found.rest]
    print_table(("layer", "forward ms", "backward ms"), rows, right=("forward ms", "backward ms"))
    kernels = "compiled kernels" if found.compiled_kernels else "MindSpore's own operators"
    rate = found.batch_size / found.step_ms * 1e3
    print_line(f"a step of {found.batch_size} images: {found.step_ms:.2f} ms, {rate:,.0f} images/s, {kernels}")
    print_line(f"picture: {output}")


def learning_rate(
    output: Picture = Path("learning-rate.png"),
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Find a learning rate for the recipe: up to 200 steps are trained with a rising rate, and thrown away."""
    chain = _open(profile, settings)
    with tempfile.TemporaryDirectory() as folder:
        found = inspection.rate_range(chain, Path(folder), output)
    if as_json:
        print_json(found)
        return
    print_line(f"steepest: {found.steepest:.2g}, where the loss falls fastest; for the highest rate of a schedule")
    print_line(f"cautious: {found.cautious:.2g}, a tenth of the rate with the lowest loss")
    print_line(f"try it: atlasflow run --set train.learning_rate={found.steepest:.2g}")
    print_line(f"picture: {output}")


def _open(profile: str, settings: list[str] | None) -> Chain:
    chain = open_chain(profile, parse_overrides(settings), Silent())
    chain.look_at_all()
    return chain


def _short(text: str) -> str:
    return f"{float(text):.6g}" if text else ""
