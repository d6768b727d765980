"""Export: checkpoint → MINDIR, ONNX and, on an Ascend backend, AIR; each in a process of its own, each checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.errors import Corrupt, Refused, UserError
from tasks.base import Made, Stage, Work
from tasks.recipe import export_code, network_settings, write_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.settings import Settings


def run(work: Work) -> Made:
    """Export each format that is asked for; AIR, which MindSpore cannot make on a CPU, is portable or not made."""
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
            if not work.settings.export.portable_air:
                checks[name] = {"made": False, "reason": refusal.message}
                continue
            check = _portable_air(work, results / "model.air")
        else:
            check = json.loads((results / "check.json").read_text())
        checks[name] = {"made": True, **check}
        _check_difference(name, checks[name], work.settings.export.max_difference)
        outputs[name] = results / f"model.{name}"
    checks_file = work.folder / "checks.json"
    checks_file.write_text(json.dumps(checks, indent=1, sort_keys=True))
    made = ", ".join(name for name in checks if checks[name]["made"])
    left = "".join(f"; {name} not made" for name in checks if not checks[name]["made"])
    return Made({**outputs, "checks": checks_file}, f"{made}{left}")


def _portable_air(work: Work, target: Path) -> dict[str, Any]:
    """Write AIR from the ONNX file that was exported just before."""
    import numpy as np

    from tasks.portable_air import write
    from tasks.release import evaluation_images

    onnx = work.folder / "onnx" / "model.onnx"
    if not onnx.exists():
        raise UserError("portable AIR is made from the ONNX file", hint="name onnx before air in export.formats")
    with np.load(work.input("predictions"), allow_pickle=False) as predictions:
        expected = predictions["logits"]
    return write(onnx, target, evaluation_images(work)[0], expected, network_settings(work.settings)["normalisation"])


def _check_difference(name: str, check: Mapping[str, Any], most: float) -> None:
    """An exported file that does not compute what the checkpoint computes is no export."""
    if not check["max_difference"] <= most:  # not a number is no agreement either
        raise Corrupt(
            f"the {name} file's logits differ from the checkpoint's by up to {check['max_difference']:.2g}, "
            f"more than export.max_difference {most:.2g}"
        )


def _settings(settings: Settings) -> Mapping[str, Any]:
    return {
        **network_settings(settings),
        "formats": list(settings.export.formats),
        "max_difference": settings.export.max_difference,
        "portable_air": settings.export.portable_air,
    }


STAGE = Stage(
    "export",
    "pure",
    run,
    needs={
        "data": ("download", "data"),
        "checkpoint": ("train", "checkpoint"),
        "predictions": ("evaluate", "predictions"),
    },
    settings=_settings,
    code=export_code,
    tools=("mindspore", "numpy", "onnx", "onnxruntime"),
)
