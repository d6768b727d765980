"""Compile a model file with ATC's options to an `OmModel`, by ATC's rules and in ATC's order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from infra.air import reader
from infra.atc.aipp import Aipp
from infra.atc.codes import AtcError
from infra.atc.emulator import endpoints, graph
from infra.atc.emulator.aipp_config import read as read_aipp
from infra.atc.emulator.fusion import fuse
from infra.atc.emulator.om import OmError, OmModel, read_om
from infra.atc.emulator.options import FORMATS, IGNORED_FOR_AIR
from infra.atc.emulator.precision import apply_precision, rules_of
from infra.atc.emulator.report import check_report, graph_json
from infra.atc.emulator.shapes import check_shapes, read_gears, read_shapes
from infra.atc.generations import DEFAULT, GENERATIONS, Generation
from infra.errors import Corrupt, UserError
from infra.store.atomic import write_text

_OF_THE_RUN = ("model", "output", "soc_version", "mode", "om", "json", "check_report", "log", "debug_dir", "help")


def parse_model(options: Mapping[str, str], report: Path | None, cann: Generation) -> onnx.ModelProto:
    """Read the source model as ONNX, with the parser's checks; mode 3 ends here.

    Args:
        options: `--model` and `--framework`.
        report: file for the result of the check; with None, it is written to `check_result.json` in the working folder
            when a check fails, as ATC does (docs/reference/atc.md §3.1).
        cann: the generation, whose parsers these are.

    Raises:
        AtcError: of the parser; for the first wrong operator.
    """
    path = Path(options["model"])
    if options["framework"] == "1":
        name, checked = path.stem, _check_air(path)
    else:
        model = graph.load(path)
        name, checked = model.graph.name, graph.check_operators(model, path, cann)
    first = next((error for *_, error in checked if error is not None), None)
    if first is not None or report is not None:
        write_text((report or Path("check_result.json")).absolute(), check_report(name, checked))
    if first is not None:
        raise first
    return _translate_air(path) if options["framework"] == "1" else model


def _check_air(path: Path) -> list[graph.Checked]:
    """Name, type and error (E10501) of each operator of an AIR file; raises E10041 for another file."""
    try:
        found = reader.operators(path.read_bytes())
    except Corrupt as error:
        raise AtcError("E10041", parameter=path) from error
    return [
        (name, kind, None if known else AtcError("E10501", opname=name, optype=kind)) for name, kind, known in found
    ]


def _translate_air(path: Path) -> onnx.ModelProto:
    try:
        return reader.to_onnx(path.read_bytes())
    except Corrupt as error:
        raise AtcError("E10041", parameter=path) from error
    except UserError as error:
        raise AtcError("E10055", reason=error.message) from error


@dataclass(frozen=True)
class Compiled:
    """The result of a compilation: the model, and how often each fusion pass applied."""

    om: OmModel
    fusions: Mapping[str, int]


def compile_model(
    options: Mapping[str, str], version: str, warn: Callable[[str], None], cann: Generation = GENERATIONS[DEFAULT]
) -> Compiled:
    """Compile.

    Args:
        options: checked by `options.check_compile`.
        version: of the stand-in.
        warn: receives ATC's warnings.
        cann: the generation that the stand-in plays.

    Raises:
        AtcError: ATC's error.
    """
    effective = _effective(options, warn)
    given = read_shapes(effective.get("input_shape", ""))
    gears = read_gears(effective)
    layout = effective.get("input_format", FORMATS[effective["framework"]][0])
    check_shapes(given, gears, layout)

    configs = _aipp(effective)
    model = parse_model(effective, None, cann)
    shapes = graph.input_shapes(model, given)
    if out_nodes := effective.get("out_nodes", ""):
        graph.choose_outputs(model, out_nodes)
    names = graph.output_names(model)
    results = graph.output_shapes(model, shapes, gears)
    graph.set_shapes(model, shapes)

    rules = rules_of(effective, warn, model)
    fusions = fuse(model, rules.kept)
    inferred = graph.infer(model)
    endpoints.check_types(model, inferred)
    apply_precision(model, rules, inferred)
    layouts = dict.fromkeys(shapes, layout)
    with_aipp = endpoints.insert_aipp(model, configs, shapes, layouts)
    endpoints.half_inputs(model, effective.get("input_fp16_nodes", ""), with_aipp)
    endpoints.output_types(model, effective.get("output_type", ""), out_nodes)
    om = OmModel(
        name=Path(options["output"]).name.removesuffix(".om"),
        soc_version=effective["soc_version"],
        producer="atc-stand-in",
        producer_version=version,
        emulated=True,
        inputs=endpoints.describe_inputs(model, shapes, gears, layouts),
        outputs=endpoints.describe_outputs(model, names, results, layout),
        onnx=_bytes_of(model),
        precision_mode=rules.mode,
        aipp=with_aipp,
        gears=gears.values,
        gear_kind=gears.kind,
        options={name: value for name, value in sorted(options.items()) if name not in _OF_THE_RUN},
    )
    return Compiled(om, fusions)


def as_json(options: Mapping[str, str], cann: Generation) -> str:
    """Mode 1: the graph of `--om` as JSON; with `--framework` that file is a source model, else an `.om`.

    Raises:
        AtcError: E10007, E10041 or E10055.
    """
    path = Path(options["om"])
    if options.get("framework"):
        if options["framework"] not in ("1", "5"):
            raise AtcError("E10007", parameter="framework", support="1 (MindSpore) or 5 (ONNX) in this stand-in")
        model = parse_model({"model": options["om"], "framework": options["framework"]}, None, cann)
        return graph_json(model, graph.infer(model) if options.get("dump_mode") == "1" else None)
    try:
        om = read_om(path)
    except OmError as error:
        raise AtcError("E10041", parameter=path) from error
    if not om.emulated:
        raise AtcError("E10055", reason="this stand-in reads only its own .om files")
    return graph_json(onnx.load_model_from_string(om.onnx))


def _aipp(options: Mapping[str, str]) -> list[Aipp]:
    """The AIPP blocks of `--insert_op_conf`; E13001, E13018 or E10052."""
    name = options.get("insert_op_conf", "")
    if not name:
        return []
    try:
        return read_aipp(Path(name).read_text(encoding="utf-8"), name)
    except UnicodeDecodeError as error:
        raise AtcError("E13018", protofile=name, reason="it is not UTF-8") from error
    except OSError as error:
        raise AtcError("E13001", file=name, errmsg=error.strerror) from error


def _effective(options: Mapping[str, str], warn: Callable[[str], None]) -> dict[str, str]:
    """The effective options: ATC ignores some for AIR, and `--weight` for AIR and ONNX.

    Source: docs/reference/atc.md §3.2.
    """
    ignored = ["weight"] if options["framework"] in ("1", "5") else []
    ignored += IGNORED_FOR_AIR if options["framework"] == "1" else ()
    for name in ignored:
        if options.get(name):
            warn(f"--{name} is ignored for --framework={options['framework']}")
    return {name: value for name, value in options.items() if name not in ignored}


def _bytes_of(model: onnx.ModelProto) -> bytes:
    """The graph's bytes without exporter and time, so that equal graphs give equal bytes."""
    del model.metadata_props[:]
    model.doc_string = ""
    model.producer_name, model.producer_version = "", ""
    model.graph.doc_string = ""
    return bytes(model.SerializeToString(deterministic=True))
