"""Export: checkpoint → MINDIR, ONNX and, on an Ascend backend, AIR; each in a process of its own, each checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.errors import Corrupt, Refused
from tasks.base import Made, Stage, Work
from tasks.recipe import export_code, network_settings, write_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.settings import Settings


def run(work: Work) -> Made:
    """Export each format that is asked for; AIR, which a CPU cannot make, is reported as not made."""
    data = work.show("data", work.folder / "data")
    spec = write_spec(work.settings, work.folder / "spec.json")
    outputs: dict[str, Path] = {}
    checks: dict[str, Any] = {}
    formats = work.settings.export.formats
    for done, name in enumerate(formats):
        work.reporter.progress("export", done, len(formats), "formats")
        results = work.folder / name
        results.mkdir()
        arguments = {
            "data_url": str(data),
            "checkpoint": str(work.input("checkpoint")),
            "spec": str(spec),
            "format": name,
            "output": str(results),
        }
        try:
            work.world.run_model("export", arguments, work.folder / "export.log")
        except Refused as refusal:
            if name != "air":
                raise
            checks[name] = {"made": False, "reason": refusal.message}
            continue
        checks[name] = {"made": True, **json.loads((results / "check.json").read_text())}
        _check_difference(name, checks[name], work.settings.export.max_difference)
        outputs[name] = results / f"model.{name}"
    checks_file = work.folder / "checks.json"
    checks_file.write_text(json.dumps(checks, indent=1, sort_keys=True))
    made = ", ".join(name for name in checks if checks[name]["made"])
    left = "".join(f"; {name} not made" for name in checks if not checks[name]["made"])
    return Made({**outputs, "checks": checks_file}, f"{made}{left}")


def _check_difference(name: str, check: Mapping[str, Any], most: float) -> None:
    """An exported file that does not compute what the checkpoint computes is no export."""
    if check["max_difference"] > most:
        raise Corrupt(
            f"the {name} file's logits differ from the checkpoint's by up to {check['max_difference']:.2g}, "
            f"more than export.max_difference {most:.2g}"
        )


def _settings(settings: Settings) -> Mapping[str, Any]:
    return {
        **network_settings(settings),
        "formats": list(settings.export.formats),
        "max_difference": settings.export.max_difference,
    }


STAGE = Stage(
    "export",
    "pure",
    run,
    needs={"data": ("download", "data"), "checkpoint": ("train", "checkpoint")},
    settings=_settings,
    code=export_code,
    tools=("mindspore", "numpy", "onnx", "onnxruntime"),
)
