"""Convert: ONNX or AIR → an `.om` for each chip and precision, a parity ledger, and the chosen `.om` of each chip."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.atc.request import FILE_OPTIONS, AtcOptions
from infra.errors import UserError
from infra.ports.compilation import CompileRequest
from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.evaluation_images import calibration_pictures, input_contract
from tasks.release import execution, parity
from tasks.release.parity_report import write
from tasks.release.quantization import PICTURES, quantise
from tasks.release.targets import check_boards, soc_versions
from tasks.specs import image_shape, network_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.ports.values import OnLine
    from infra.settings import Settings

INT8 = "int8"
_MODES = {INT8: "force_fp16"}  # the layers that are not quantised

# By name and not imported: its code is in the key only when a model from outside is compiled.
_OWN_MODEL = "tasks.release.own_model"
# Options that other settings decide, and those that the agent on the boards does not support.
_PROGRAM = "the agent on the boards"
_OWN = {
    "precision_mode": "convert.precisions",
    "precision_mode_v2": "convert.precisions",
    "insert_op_conf": "convert.aipp",
    "dynamic_batch_size": "convert.batch_gears",
    "dynamic_image_size": _PROGRAM,
    "dynamic_dims": _PROGRAM,
    "out_nodes": _PROGRAM,
}


def run(context: StageContext) -> StageOutput:
    """Compile each candidate, execute it where possible, and choose one for each chip."""
    socs = soc_versions(context.settings)
    check_boards(context, socs)
    batch, own_outputs = -1 if context.settings.convert.batch_gears else context.settings.export.batch or 1, {}
    if context.settings.convert.model:
        adopted = import_module(_OWN_MODEL).adopt(context)
        context, batch, own_outputs = adopted.context, adopted.batch, adopted.outputs
    compiler = context.world.compiler()
    producer = compiler.producer()
    options = _options(context)
    lines: list[str] = []
    models = _models(context, lines)
    candidates = [
        parity.Candidate(soc, precision, context.folder / "candidates" / f"{soc}-{precision}.om")
        for soc in socs
        for precision in models
    ]

    def on_line(line: str) -> None:
        lines.append(line)
        context.reporter.line("convert", line)

    _tell_what_is_refused(context, socs, on_line)
    for done, candidate in enumerate(candidates):
        context.reporter.progress("convert", done, len(candidates), "models")
        compiler.compile(_request(context, candidate, models[candidate.precision], batch, options), on_line)
    (context.folder / "atc.log").write_text("".join(f"{line}\n" for line in lines))
    results = execution.run(context, candidates, emulated=producer.emulated)
    ledger = parity.compare(context, results, producer)
    outputs = write(ledger, parity.times_of(results), context.folder)
    for candidate in candidates:
        if ledger.chosen[candidate.soc_version] == candidate.precision:
            target = context.folder / "om" / candidate.soc_version / "model.om"
            target.parent.mkdir(parents=True)
            shutil.copyfile(candidate.om, target)
    (context.folder / "om").mkdir(exist_ok=True)  # if nothing passes, the gate after this stage stops the chain
    stand_in = " (stand-in)" if producer.emulated else ""
    chosen = "; ".join(f"{soc}: {precision or 'none passes'}" for soc, precision in ledger.chosen.items())
    note = f"{producer.name} {producer.version[:12]}{stand_in}, {len(candidates)} compiled, {chosen}"
    made = {"om": context.folder / "om", "log": context.folder / "atc.log", **outputs, **own_outputs}
    return StageOutput(made, note)


def _tell_what_is_refused(context: StageContext, socs: Sequence[str], on_line: OnLine) -> None:
    """Say before the compilation, which may take hours, what the compiler will refuse; a model from outside was told.

    The compiler has the last word, so this stops nothing.
    """
    source = context.input("model")
    if context.settings.convert.model or source.suffix != ".onnx":
        return
    try:
        found = context.world.lint(source, socs)
    except UserError as error:
        on_line(f"before compiling: {error.message}")
        return
    for soc, findings in found.items():
        for finding in findings:
            on_line(f"before compiling for {soc}: {finding}")


def _models(context: StageContext, lines: list[str]) -> dict[str, Path]:
    """The file to compile for each precision; `int8` has a quantised one, the others have the export itself.

    A model in which no layer may become int8 has no int8 form.

    Raises:
        UserError: int8 of an AIR file, or of a model that is not an export of this chain, or int8 alone and no layer
            bears it.
    """
    source, settings = context.input("model"), context.settings.convert
    models: dict[str, Path] = dict.fromkeys(settings.precisions, source)
    if INT8 not in models:
        return models
    if source.suffix != ".onnx" or settings.model:
        raise UserError(
            "int8 needs the ONNX export of this chain and its training pictures",
            hint="set convert.source=onnx and no convert.model, or leave int8 out of convert.precisions",
        )
    contract = input_contract(context.settings, context.files["data"])
    pixels = calibration_pictures(context, PICTURES)
    models[INT8] = context.folder / "int8.onnx"
    found = quantise(source, models[INT8], contract.tensor(pixels), settings.max_accuracy_drop)
    context.reporter.line("convert", found.text)
    lines.append(found.text)
    if not found.int8:
        del models[INT8]
        if not models:
            raise UserError(f"no layer of {source.name} can be int8", hint="name another precision, too")
    return models


def _request(
    context: StageContext, candidate: parity.Candidate, model: Path, batch: int, options: Mapping[str, str]
) -> CompileRequest:
    return CompileRequest(
        model=model,
        output=candidate.om,
        soc_version=candidate.soc_version,
        input_shape={"image": (batch, *image_shape(context.settings))},
        options={"precision_mode": _MODES.get(candidate.precision, candidate.precision), **options},
    )


def _options(context: StageContext) -> dict[str, str]:
    """ATC's options for all candidates: AIPP, gears, and the further options of the settings."""
    from infra.atc.aipp import normalising

    settings = context.settings.convert
    for name in settings.options:
        if name in _OWN:
            raise UserError(f"convert.options.{name} is not a further option of ATC", hint=f"{_OWN[name]} decides that")
    gears = settings.batch_gears
    if gears and (context.settings.export.batch or context.input("model").suffix == ".air"):
        raise UserError(
            "convert.batch_gears needs a model with an open batch",
            hint="compile the ONNX file (convert.source=onnx) and leave export.batch at 0",
        )
    aipp = None
    if settings.aipp:
        contract = input_contract(context.settings, context.files.get("data", {}))
        # The pictures are RGB; the constants have the order of the tensor's channels.
        mean, std, order = contract.normalisation
        text = normalising(mean, std, width=contract.size, height=contract.size, swap=order == "BGR")
        aipp = context.folder / "aipp.cfg"
        aipp.write_text(text)
    more = {
        name: str(context.input(name)) if name in context.files else text for name, text in settings.options.items()
    }
    return AtcOptions(aipp=aipp, batch_gears=gears, more=more).texts()


def _needs(settings: Settings) -> dict[str, tuple[str, str]]:
    """A model from outside brings its own answers, and perhaps its own pictures."""
    if settings.convert.model:
        own = () if settings.convert.images else ("data",)
        return {"model": ("export", settings.convert.source), **{name: ("download", name) for name in own}}
    return {
        "model": ("export", settings.convert.source),
        "checks": ("export", "checks"),
        "logits": ("export", "logits"),
        "data": ("download", "data"),
        "predictions": ("evaluate", "predictions"),
    }


def _external_inputs(settings: Settings) -> Mapping[str, Path]:
    """An external model, and the files that options name; their digests are in the key."""
    convert = settings.convert
    files = {name: Path(convert.options[name]) for name in FILE_OPTIONS if convert.options.get(name)}
    if not convert.model:
        return files
    weights = import_module(_OWN_MODEL).weights_beside(Path(convert.model))
    own = {"model": convert.model, "weights": weights, "classes": convert.classes, "images": convert.images}
    return {**files, **{name: Path(path) for name, path in own.items() if path}}


def _settings(settings: Settings) -> Mapping[str, Any]:
    convert = settings.convert
    return {
        **network_settings(settings),
        "soc_versions": list(soc_versions(settings)),
        "precisions": list(convert.precisions),
        "source": convert.source,
        "batch": settings.export.batch,
        "batch_gears": list(convert.batch_gears),
        "aipp": convert.aipp,
        "options": {name: text for name, text in convert.options.items() if name not in FILE_OPTIONS},
        "min_agreement": convert.min_agreement,
        "max_accuracy_drop": convert.max_accuracy_drop,
        **(_own_settings(settings) if convert.model else {}),
    }


def _own_settings(settings: Settings) -> Mapping[str, Any]:
    data = settings.data
    return {
        "max_images": settings.convert.max_images,
        "fit": data.fit,
        "interpolation": data.interpolation,
        "orientation": data.orientation,
    }


def _code(settings: Settings) -> tuple[str, ...]:
    """The agent that executes the compiled models, the stand-in of pyACL, and what prepares a model from outside."""
    own = (
        (_OWN_MODEL, "infra.atc.lint.fixes", "infra.air.reader", "models.data.images") if settings.convert.model else ()
    )
    return ("infra.board.agent.infer", "infra.board.emulator.acl.acl.mdl", "models.preprocess", "models.parity", *own)


STAGE = Stage(
    "convert",
    "pure",
    run,
    needs=_needs,
    external_inputs=_external_inputs,
    settings=_settings,
    code=_code,
    producer=lambda world: world.compiler().producer(),
    tools=("numpy", "onnx", "onnxruntime"),
)
