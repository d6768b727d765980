"""Convert: ONNX → `.om` for one soc_version, through ATC or its stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.ports import CompileRequest
from tasks.base import Made, Stage, Work
from tasks.recipe import image_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.settings import Settings


def run(work: Work) -> Made:
    """Compile the exported model."""
    log = work.folder / "atc.log"
    lines: list[str] = []

    def heard(line: str) -> None:
        lines.append(line)
        work.reporter.line("convert", line)

    output = work.folder / "model.om"
    request = CompileRequest(
        model=work.input("model"),
        output=output,
        soc_version=work.settings.convert.soc_version,
        input_shape={"image": (1, *image_shape(work.settings))},
        options={"precision_mode": work.settings.convert.precision_mode},
    )
    compiler = work.world.compiler()
    compiler.compile(request, heard)
    log.write_text("".join(f"{line}\n" for line in lines))
    producer = compiler.producer()
    stand_in = " (stand-in)" if producer.emulated else ""
    return Made(
        {"om": output, "log": log},
        f"{producer.name} {producer.version[:12]}{stand_in} for {request.soc_version}, {output.stat().st_size:,} bytes",
    )


def _given(settings: Settings) -> Mapping[str, Path]:
    return {"model": Path(settings.convert.model)} if settings.convert.model else {}


def _settings(settings: Settings) -> Mapping[str, Any]:
    return {
        "soc_version": settings.convert.soc_version,
        "precision_mode": settings.convert.precision_mode,
        "image_shape": list(image_shape(settings)),
    }


STAGE = Stage(
    "convert",
    "pure",
    run,
    needs=lambda settings: {"model": ("export", settings.convert.source)},
    given=_given,
    settings=_settings,
    producer=lambda world: world.compiler().producer(),
)
