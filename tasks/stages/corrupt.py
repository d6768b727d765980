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
    from models.data.records import decode, encode, read_records

    wanted = context.settings.robustness
    records = read_records(context.files["data"]["eval/test_batch.bin"].path)[: wanted.images]
    pixels, labels = decode(records)
    kinds = [(name, severity) for name in wanted.corruptions for severity in wanted.severities]
    folder = context.folder / "images"
    for done, (name, severity) in enumerate(kinds, 1):
        changed = corrupt(pixels, name, severity, wanted.seed)
        target = folder / name / str(severity) / "eval" / "test_batch.bin"
        target.parent.mkdir(parents=True)
        target.write_bytes(encode(changed, labels).tobytes())
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
