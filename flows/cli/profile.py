"""`atlasflow profile`: measure the trained network."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_facts, print_json
from flows.context import open_chain
from infra.store.atomic import write_text
from tasks.engine.reporter import Silent
from tasks.reports import inspection
from tasks.reports.costs import Latency, TrainedNetwork

Report = Annotated[Path | None, typer.Option("--output", "-o", help="JSON file to write as well.")]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Examples: `atlasflow profile` · `atlasflow profile -o profile.json`")(profile)


def profile(output: Report = None, profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Measure the trained network: parameters, size, latency of one image, accuracy, and the tuning score."""
    chain = open_chain(profile, parse_overrides(settings), Silent())
    chain.look_at_all()
    with tempfile.TemporaryDirectory() as folder:
        found = inspection.profile(chain, Path(folder))
    if output is not None:
        write_text(output, json.dumps(found.to_json(), indent=1, sort_keys=True) + "\n")
    if as_json:
        print_json(found.to_json())
        return
    print_facts(_figures(found))


def _figures(found: TrainedNetwork) -> list[tuple[str, str]]:
    rows = [
        ("parameters", f"{found.parameters:,}"),
        ("multiply-adds", f"{found.multiply_adds:,}"),
        ("size", f"{found.size_mb:.4f} MB"),
        ("latency, MindSpore", _latency(found.latency_ms)),
        ("accuracy", f"{found.accuracy:.4f} on {found.images:,} images"),
        ("tuning score", f"{found.score:.2f} = 0.50 · accuracy (%) - 0.35 · size (MB) - 0.15 · mean latency (ms)"),
    ]
    if found.onnx is not None:
        rows[4:4] = [
            ("ONNX file", f"{found.onnx.size_mb:.4f} MB"),
            ("latency, ONNX Runtime", _latency(found.onnx.latency_ms)),
        ]
    return rows


def _latency(time: Latency) -> str:
    return (
        f"mean {time.mean:.3f} ms, median {time.median:.3f}, p10 {time.p10:.3f}, p90 {time.p90:.3f}, "
        f"p99 {time.p99:.3f}, threads {'pinned' if time.pinned else 'not pinned'}"
    )
