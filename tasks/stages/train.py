"""Train: data set and recipe → checkpoint and history, by MindSpore in a process of its own, or as a ModelArts job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.local_training.trainer import NAME as LOCAL
from models.kernels import build
from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.specs import recipe_settings, training_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.ports.values import Producer
    from infra.settings import Settings
    from infra.world import World

OUTPUTS = {
    "checkpoint": "checkpoint.ckpt",
    "history": "history.csv",
    "events": "history.jsonl",
    "steps": "steps.csv",
    "result": "result.json",
    "log": "train.log",
}
AIR = "model.air"  # only where MindSpore trained on an Ascend device


def run(context: StageContext) -> StageOutput:
    """Train, or go on where a killed run stopped."""
    data = context.link_input("data", context.folder / "data")
    results = context.folder / "results"
    last: dict[str, Any] = {}

    def heard(event: Mapping[str, Any]) -> None:
        if event["event"] == "epoch":
            last.update(event)
            context.reporter.progress("train", event["epoch"], event["epochs"], "epochs")
            context.reporter.line("train", epoch_line(event))
        elif event["event"] == "job":  # what becomes of a ModelArts job: phase, queue, cost
            context.reporter.line("train", event["text"])

    digest, spec = context.inputs["data"].sha256, recipe_settings(context.settings)
    start = next(iter(context.files["pretrained"].values())) if "pretrained" in context.files else None
    context.world.train(context.key, data, digest, spec, results, heard, again=context.forced, pretrained=start)
    air = {"air": results / AIR} if (results / AIR).exists() else {}
    note = f"accuracy {last['accuracy']:.4f} after {last['epochs']} epochs" if last else "was finished already"
    files = OUTPUTS if start is None else {**OUTPUTS, "pretrained": "pretrained.json"}
    return StageOutput({name: results / file for name, file in files.items()} | air, note)


def epoch_line(event: Mapping[str, Any]) -> str:
    """One line about one epoch; with the accuracy when it was evaluated."""
    accuracy = f"accuracy {event['accuracy']:.4f}  " if "accuracy" in event else ""
    return (
        f"epoch {event['epoch']:>3}/{event['epochs']}  loss {event['loss']:.4f}  {accuracy}"
        f"{event['step_ms']:.1f} ms a step  {event['images_per_second']:,.0f} images/s"
    )


def _external_inputs(settings: Settings) -> Mapping[str, Path]:
    return {"pretrained": Path(settings.train.pretrained)} if settings.train.pretrained else {}


def _producer(world: World) -> Producer:
    """Who trains; on this machine the compiled kernels count too, as they round otherwise than MindSpore's own."""
    found = world.trainer().producer()
    if found.name != LOCAL:
        return found
    return replace(found, details={**found.details, "kernels": "compiled" if build.library() else "stock"})


STAGE = Stage(
    "train",
    "pure",
    run,
    needs={"data": ("download", "data")},
    external_inputs=_external_inputs,
    settings=recipe_settings,
    code=training_code,
    producer=_producer,
    tools=("mindspore", "numpy"),
    resumes=True,
)
