"""Train: data set and recipe → checkpoint and history, by MindSpore in its own process, or as a ModelArts job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import UserError
from models.kernels import build
from tasks.class_names import labels
from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.specs import recipe_settings, shortened_warmup, training_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.ports.training import Epoch
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
    """Train, or resume where a killed run stopped."""
    data = context.link_input("data", context.folder / "data")
    results = context.folder / "results"
    last: Epoch | None = None

    def on_epoch(epoch: Epoch) -> None:
        nonlocal last
        last = epoch
        context.reporter.progress("train", epoch.epoch, epoch.epochs, "epochs")
        context.reporter.line("train", epoch_line(epoch))

    def on_status(text: str) -> None:
        context.reporter.line("train", text)

    _check_classes(context)
    if (warmup := shortened_warmup(context.settings)) is not None:
        context.reporter.line("train", f"the recipe's warm-up is shortened to {warmup} epochs, as the run is short")
    digest, spec = context.inputs["data"].sha256, recipe_settings(context.settings)
    start = next(iter(context.files["pretrained"].values())) if "pretrained" in context.files else None
    context.world.training().run(
        context.key, data, digest, spec, results, on_epoch, on_status, again=context.forced, pretrained=start
    )
    if _has_script(context.settings):
        return StageOutput({name: results / OUTPUTS[name] for name in ("checkpoint", "log")}, "by your own script")
    air = {"air": results / AIR} if (results / AIR).exists() else {}
    files = OUTPUTS if start is None else {**OUTPUTS, "pretrained": "pretrained.json"}
    return StageOutput({name: results / file for name, file in files.items()} | air, _note(last))


def _check_classes(context: StageContext) -> None:
    """Compare the network's outputs with the classes of the data set, before anything is paid for.

    Raises:
        UserError: the numbers differ.
    """
    names, outputs = labels(context), recipe_settings(context.settings)["classes"]
    if len(names) != outputs:
        raise UserError(
            f"the data set has {len(names)} classes ({', '.join(names[:3])}, …), the network {outputs} outputs",
            hint=f"set train.classes={len(names)}",
        )


def epoch_line(epoch: Epoch) -> str:
    """Describe an epoch in one line; with the accuracy if it was evaluated."""
    accuracy = "" if epoch.accuracy is None else f"accuracy {epoch.accuracy:.4f}  "
    return (
        f"epoch {epoch.epoch:>3}/{epoch.epochs}  loss {epoch.loss:.4f}  {accuracy}"
        f"{epoch.step_ms:.1f} ms a step  {epoch.images_per_second:,.0f} images/s"
    )


def _note(last: Epoch | None) -> str:
    if last is None:
        return "was finished already"
    accuracy = "" if last.accuracy is None else f"accuracy {last.accuracy:.4f} after "
    return f"{accuracy}{last.epochs} epochs"


def _has_script(settings: Settings) -> bool:
    """True when the user's own boot file trains."""
    return settings.train.target == "modelarts" and bool(settings.modelarts.boot_file)


def _external_inputs(settings: Settings) -> Mapping[str, Path]:
    found = {"pretrained": Path(settings.train.pretrained)} if settings.train.pretrained else {}
    if not _has_script(settings):
        return found
    if not settings.modelarts.code_dir or "://" in settings.modelarts.code_dir:
        raise UserError("modelarts.code_dir names no folder", hint="set it to the folder with modelarts.boot_file")
    return found | {"script": Path(settings.modelarts.code_dir)}


def _settings(settings: Settings) -> Mapping[str, object]:
    """Return the recipe; for a user's script, which does not read it, what decides the script."""
    if not _has_script(settings):
        return recipe_settings(settings)
    script = settings.modelarts
    chosen = {"boot_file": script.boot_file, "parameters": script.parameters, "checkpoint": script.checkpoint}
    return {**chosen, "environment": script.environment}


def _code(settings: Settings) -> tuple[str, ...]:
    return () if _has_script(settings) else training_code(settings)


def _producer(world: World) -> Producer:
    """Name the trainer; on this machine with the kernels, as compiled ones round differently from MindSpore's own."""
    found = world.trainer().producer()
    if world.settings.train.target != "local":
        return found
    return replace(found, details={**found.details, "kernels": "compiled" if build.library() else "stock"})


STAGE = Stage(
    "train",
    "pure",
    run,
    needs={"data": ("download", "data")},
    external_inputs=_external_inputs,
    settings=_settings,
    code=_code,
    producer=_producer,
    tools=("mindspore", "numpy"),
    resumes=True,
)
