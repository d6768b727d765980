"""Export: checkpoint → MINDIR, ONNX and, on an Ascend backend, AIR; each in its own process, each checked."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from infra.errors import Corrupt, Refused, UserError
from tasks.class_names import labels
from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.evaluation_images import evaluation_images, expected_logits, input_contract
from tasks.specs import export_code, network_settings, write_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.settings import Settings


def run(context: StageContext) -> StageOutput:
    """Export each format of the settings; without an Ascend device, AIR is portable or is not made."""
    checks: dict[str, Any] = {}
    latencies: dict[str, Any] = {}
    outputs: dict[str, Path] = {}
    logits = context.folder / "logits"
    logits.mkdir()
    formats = context.settings.export.formats
    for done, name in enumerate(formats):
        context.reporter.progress("export", done, len(formats), "formats")
        results = context.folder / name
        results.mkdir()
        checks[name] = _export(context, name, results)
        if not checks[name]["made"]:
            continue
        outputs[name] = results / f"model.{name}"
        checks[name]["bytes"] = outputs[name].stat().st_size
        if "max_difference" in checks[name]:
            _check_difference(name, checks[name], context.settings.export.max_difference)
            (results / "logits.npy").replace(logits / f"{name}.npy")
            latencies[name] = json.loads((results / "latency.json").read_text())
    outputs |= {"checks": context.folder / "checks.json", "latency": context.folder / "latency.json", "logits": logits}
    outputs["checks"].write_text(json.dumps(checks, indent=1, sort_keys=True))
    outputs["latency"].write_text(json.dumps(latencies, indent=1, sort_keys=True))
    made = ", ".join(name for name in checks if checks[name]["made"])
    left = "".join(f"; {name} not made" for name in checks if not checks[name]["made"])
    return StageOutput(outputs, f"{made}{left}")


def _export(context: StageContext, name: str, results: Path) -> dict[str, Any]:
    """Export one format in its own process; returns its check, or why it was not made."""
    if name == "air" and "air" in context.files:  # a training on an Ascend device exported it
        shutil.copyfile(context.input("air"), results / "model.air")
        return {"made": True, "by": "the training", **_check_air(context, results / "model.air")}
    arguments = {
        "data_url": str(context.link_input("data", context.folder / "data")),
        "checkpoint": str(context.input("checkpoint")),
        "spec": str(write_spec(context.settings, context.folder / "spec.json")),
        "format": name,
        "output": str(results),
        "batch": str(context.settings.export.batch),
    }
    try:
        context.world.models().run("export", arguments, context.folder / "export.log")
    except Refused as refusal:
        if name != "air":
            raise
        if not context.settings.export.portable_air:
            return {"made": False, "reason": refusal.message}
        return {
            "made": True,
            **_portable_air(context, results / "model.air"),
            **_check_air(context, results / "model.air"),
        }
    check: dict[str, Any] = {"made": True, **json.loads((results / "check.json").read_text())}
    return check | _check_air(context, results / "model.air") if name == "air" else check


def _portable_air(context: StageContext, target: Path) -> dict[str, Any]:
    """Write AIR from the exported ONNX file."""
    from tasks.release.onnx_to_air import write

    onnx = context.folder / "onnx" / "model.onnx"
    if not onnx.exists():
        raise UserError("portable AIR is made from the ONNX file", hint="name onnx before air in export.formats")
    return write(onnx, target, context.settings.export.batch or 1)


def _check_air(context: StageContext, path: Path) -> dict[str, Any]:
    """Execute an AIR file on the evaluation images; some operators of MindSpore's AIR are not supported here."""
    from tasks.release.onnx_to_air import check

    images, numbers = evaluation_images(context)
    try:
        contract = input_contract(context.settings, context.files["data"])
        return check(path, images, expected_logits(context), numbers, labels(context), contract)
    except UserError as error:
        return {"unchecked": error.message}


def _check_difference(name: str, check: Mapping[str, Any], most: float) -> None:
    """Check the largest logit difference between an exported file and the checkpoint.

    Raises:
        Corrupt: it is too large, or not finite.
    """
    if check["max_difference"] is None or not check["max_difference"] <= most:  # None: NaN or infinite logits
        raise Corrupt(
            f"the {name} file's logits differ from the checkpoint's by up to {check['max_difference']}, "
            f"more than export.max_difference {most:.2g}",
            hint="look at the log of the export; try another batch size or MindSpore version",
        )


def _settings(settings: Settings) -> Mapping[str, Any]:
    return {
        **network_settings(settings),
        "formats": list(settings.export.formats),
        "batch": settings.export.batch,
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
        "air": ("train", "air"),
    },
    optional=("air",),
    settings=_settings,
    code=export_code,
    tools=("mindspore", "numpy", "onnx", "onnxruntime"),
)
