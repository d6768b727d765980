"""`atlasflow profile`: measure the trained network."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_facts, print_json
from flows.context import open_chain
from infra.store.atomic import write_text
from tasks.engine.reporter import Silent
from tasks.reports import inspection

Report = Annotated[Path | None, typer.Option("--output", "-o", help="JSON file to write, too.")]


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
        write_text(output, json.dumps(found, indent=1, sort_keys=True) + "\n")
    if as_json:
        print_json(found)
        return
    print_facts(_figures(found))


def _figures(found: dict[str, Any]) -> list[tuple[str, str]]:
    latency = found["latency_ms"]
    rows = [
        ("parameters", f"{found['parameters']:,}"),
        ("multiply-adds", f"{found['multiply_adds']:,}"),
        ("size", f"{found['size_mb']:.4f} MB"),
        ("latency, MindSpore", _latency(latency)),
        ("accuracy", f"{found['accuracy']:.4f} on {found['images']:,} images"),
        ("tuning score", f"{found['score']:.2f} = 0.50 · accuracy (%) - 0.35 · size (MB) - 0.15 · mean latency (ms)"),
    ]
    if "onnx" in found:
        onnx = found["onnx"]
        rows[4:4] = [
            ("ONNX file", f"{onnx['size_mb']:.4f} MB"),
            ("latency, ONNX Runtime", _latency(onnx["latency_ms"])),
        ]
    return rows


def _latency(figures: dict[str, float]) -> str:
    return (
        f"mean {figures['mean']:.3f} ms, median {figures['median']:.3f}, p10 {figures['p10']:.3f}, "
        f"p90 {figures['p90']:.3f}, p99 {figures['p99']:.3f}, threads {'pinned' if figures['pinned'] else 'not pinned'}"
    )
