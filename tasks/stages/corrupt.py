"""Corrupt: evaluation images → the same images with noise, blur and the like, which `robustness` is measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.engine.stage import Stage, StageContext, StageOutput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.settings import Settings


def run(context: StageContext) -> StageOutput:
    """Corrupt the evaluation images in every way and severity that the settings name."""
    from models.data.corruption import corrupt
    from models.data.images import read_images, write_images

    wanted = context.settings.robustness
    data = context.link_input("data", context.folder / "data")
    images = read_images(data, "eval")
    pixels, labels = images.pixels[: wanted.images], images.labels[: wanted.images]
    kinds = [(name, severity) for name in wanted.corruptions for severity in wanted.severities]
    folder = context.folder / "images"
    for done, (name, severity) in enumerate(kinds, 1):
        changed = corrupt(pixels, name, severity, wanted.seed)
        write_images(folder / name / str(severity), "eval", changed, labels, like=data)
        context.reporter.progress("corrupt", done, len(kinds), "sets")
    return StageOutput({"images": folder}, f"{len(pixels):,} images in {len(kinds)} ways")


def _settings(settings: Settings) -> Mapping[str, Any]:
    wanted = settings.robustness
    return {
        "corruptions": sorted(set(wanted.corruptions)),
        "severities": sorted(set(wanted.severities)),
        "images": wanted.images,
        "seed": wanted.seed,
    }


STAGE = Stage(
    "corrupt",
    "pure",
    run,
    needs={"data": ("download", "data")},
    settings=_settings,
    tools=("numpy", "pillow"),
)
