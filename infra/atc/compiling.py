"""The stand-in's compilation: options and a model file become an `OmModel`, by ATC's rules and in its order."""

from collections.abc import Callable, Mapping
from pathlib import Path

import onnx

from infra.atc import ends, graph
from infra.atc.codes import AtcError
from infra.atc.om import OmModel
from infra.atc.options import FORMATS, IGNORED_FOR_AIR
from infra.atc.precision import apply_precision, mode_of
from infra.atc.shapes import check_shapes, read_gears, read_shapes

_OF_THE_RUN = ("model", "output", "soc_version", "mode", "om", "json", "check_report", "log", "debug_dir", "help")


def parse_model(options: Mapping[str, str]) -> onnx.ModelProto:
    """Read the source model as ONNX, with the parser's checks; mode 3 ends here."""
    if options["framework"] == "1":
        raise AtcError("E10055", reason="this stand-in does not read AIR")
    return graph.load(Path(options["model"]))


def compile_model(options: Mapping[str, str], version: str, warn: Callable[[str], None]) -> OmModel:
    """Compile.

    Args:
        options: as they were given, checked by `options.check_compile`.
        version: the stand-in's own version.
        warn: receives what ATC would warn of.

    Raises:
        AtcError: what ATC would stop with.
    """
    effective = _effective(options, warn)
    given = read_shapes(effective.get("input_shape", ""))
    gears = read_gears(effective)
    layout = effective.get("input_format", FORMATS[effective["framework"]][0])
    check_shapes(given, gears, layout)

    model = parse_model(effective)
    shapes = graph.input_shapes(model, given)
    if out_nodes := effective.get("out_nodes", ""):
        graph.choose_outputs(model, out_nodes)
    names = graph.output_names(model)
    results = graph.output_shapes(model, shapes, gears)
    graph.set_shapes(model, shapes)

    mode = mode_of(effective)
    inferred = graph.infer(model)
    ends.check_types(model, inferred)
    apply_precision(model, mode, inferred)
    ends.half_inputs(model, effective.get("input_fp16_nodes", ""), ())
    ends.output_types(model, effective.get("output_type", ""), out_nodes)
    return OmModel(
        name=Path(options["output"]).name.removesuffix(".om"),
        soc_version=effective["soc_version"],
        producer="atc-stand-in",
        producer_version=version,
        emulated=True,
        inputs=ends.describe_inputs(model, shapes, gears, dict.fromkeys(shapes, layout)),
        outputs=ends.describe_outputs(model, names, results, layout),
        onnx=_bytes_of(model),
        precision_mode=mode,
        gears=gears.values,
        gear_kind=gears.kind,
        options={name: value for name, value in sorted(options.items()) if name not in _OF_THE_RUN},
    )


def _effective(options: Mapping[str, str], warn: Callable[[str], None]) -> dict[str, str]:
    """The options that count: ATC ignores some for AIR, and `--weight` for AIR and ONNX (ascend-domain.md §3.2)."""
    ignored = ["weight"] if options["framework"] in ("1", "5") else []
    ignored += IGNORED_FOR_AIR if options["framework"] == "1" else ()
    for name in ignored:
        if options.get(name):
            warn(f"--{name} is ignored for --framework={options['framework']}")
    return {name: value for name, value in options.items() if name not in ignored}


def _bytes_of(model: onnx.ModelProto) -> bytes:
    """The graph's bytes, without who exported it and when: the same graph gives the same bytes."""
    del model.metadata_props[:]
    model.doc_string = ""
    model.producer_name, model.producer_version = "", ""
    model.graph.doc_string = ""
    return bytes(model.SerializeToString(deterministic=True))
