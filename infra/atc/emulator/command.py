"""A stand-in for Huawei's `atc` command: `python -m infra.atc.emulator.command --model=… --framework=5 --output=… …`.

It has ATC's options, checks them in ATC's order, prints ATC's lines on standard output, fails with ATC's error codes,
and writes an `.om` for the stand-in pyACL, not for hardware, as its second line of output says.
Source: docs/reference/atc.md §3.

It refuses with E10055: Caffe and TensorFlow models, other single operators than Add, Mul, Cast and MatMul, modes 5, 7
and 30, ranges of shapes, outputs whose shape depends on values, dynamic AIPP, YUV420SP with dynamic image sizes,
bfloat16, and options that change a model in ways that it cannot follow (`values`). Options for the speed of the
hardware are checked and have no effect, of which a warning tells. It plays the CANN of `ATLASFLOW_STAND_IN_CANN`
(`infra.atc.generations`).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.atc.codes import CODES, AtcError
from infra.atc.emulator.flags import UnknownFlagError, parse, played
from infra.atc.emulator.om import OmError, read_om, write_om
from infra.atc.emulator.options import check_chip, check_compile, check_readable, output_path
from infra.atc.emulator.version import stand_in_version
from infra.atc.generations import Generation
from infra.atc.options import OPTIONS
from infra.store.atomic import write_text

START = "ATC start working now, please wait for a moment."
SUCCESS = "ATC run success, welcome to the next use."
FAILURE = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"
FAILED = 255  # -1 as an exit status; docs/reference/atc.md §3.1
_LEVELS = ("debug", "info", "warning", "error", "null")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    print(START, flush=True)
    cann = played()
    try:
        options = parse(arguments, cann)
    except UnknownFlagError as error:
        print(error, file=sys.stderr)
        return 1  # as gflags
    if "help" in options:
        print(usage())
        return 0
    version = f"version {stand_in_version()[:16]}, CANN {cann.name}"
    print(f"(AtlasFlow's stand-in for ATC, {version}: its .om runs on no hardware)", flush=True)
    warnings: list[str] = []
    try:
        run(options, warnings, cann)
    except Exception as error:  # noqa: BLE001 - ATC ends in a code, whatever it is given; unexpected ones are E19999
        print(_printable((FAILURE, *error_block(error))))
        return FAILED
    print("\n".join((SUCCESS, *(f"WARNING: {warning}" for warning in warnings))))
    return 0


def run(options: Mapping[str, str], warnings: list[str], cann: Generation) -> None:
    """Run the mode of `--mode`; raises `AtcError`, appends to `warnings`."""
    if options.get("log", "null") not in _LEVELS:
        raise AtcError("E10010", loglevel=options["log"])
    if options.get("singleop"):
        _single_operators(options, cann)
        return
    modes = {"0": _compile, "1": _to_json, "3": _check_only, "6": _show}
    mode = options.get("mode", "0")
    if mode not in ("0", "1", "3", "5", "6", "7", "30"):
        raise AtcError("E10001", value=mode, parameter="--mode", reason="it is 0, 1, 3, 5, 6, 7 or 30")
    if mode not in modes:
        raise AtcError("E10055", reason=f"this stand-in has no mode {mode}")
    modes[mode](options, warnings, cann)


# These import the ONNX library; a wrong option is reported without it.


def _compile(options: Mapping[str, str], warnings: list[str], cann: Generation) -> None:
    """Mode 0: compile a model to an `.om`."""
    check_compile(options, cann, warnings.append)
    target = output_path(options["output"])
    from infra.atc.emulator.compiler import compile_model  # noqa: PLC0415

    compiled = compile_model(options, stand_in_version(), warnings.append, cann)
    write_om(target, compiled.om)
    # ATC leaves these in the working folder; docs/reference/atc.md §3.1.
    Path("kernel_meta").mkdir(exist_ok=True)
    passes = {name: {"effect_times": str(times), "match_times": str(times)} for name, times in compiled.fusions.items()}
    result = [{"graph_fusion": passes, "session_and_graph_id": "0_0", "ub_fusion": {}}]
    write_text(Path("fusion_result.json").absolute(), json.dumps(result, indent=4) + "\n")
    if options.get("display_model_info") == "1":
        _print_info(target)


def _to_json(options: Mapping[str, str], _warnings: list[str], cann: Generation) -> None:
    """Mode 1: convert an `.om`, or with `--framework` a model, to JSON."""
    for name in ("om", "json"):
        if not options.get(name):
            raise AtcError("E10004", parameter=name)
    check_readable("om", options["om"])
    target = output_path(options["json"], "json", "")
    from infra.atc.emulator.compiler import as_json  # noqa: PLC0415

    write_text(target.absolute(), as_json(options, cann))


def _check_only(options: Mapping[str, str], warnings: list[str], cann: Generation) -> None:
    """Mode 3: run the parser's checks only; the report names each unsupported operator."""
    check_compile(options, cann, warnings.append, writes=False)
    report = output_path(options.get("check_report") or "check_result.json", "check_report", "")
    from infra.atc.emulator.compiler import parse_model  # noqa: PLC0415

    parse_model(options, report, cann)


def _show(options: Mapping[str, str], _warnings: list[str], _cann: Generation) -> None:
    """Mode 6: describe an `.om`."""
    if not options.get("om"):
        raise AtcError("E10057", parameter0="mode 6", parameter1="om")
    check_readable("om", options["om"])
    _print_info(Path(options["om"]))


def _single_operators(options: Mapping[str, str], cann: Generation) -> None:
    """`--singleop`: compile each operator of a JSON file to an `.om` in the folder `--output`."""
    for name in ("soc_version", "output"):
        if not options.get(name):
            raise AtcError("E10054", parameter=name)
    check_chip(options["soc_version"], cann)
    check_readable("singleop", options["singleop"])
    folder = Path(options["output"])
    from infra.atc.emulator.singleop import compile_operators  # noqa: PLC0415

    for name, model in compile_operators(Path(options["singleop"]), options["soc_version"], stand_in_version()):
        folder.mkdir(parents=True, exist_ok=True)
        write_om(folder.absolute() / f"{name}.om", model)


def _print_info(path: Path) -> None:
    from infra.atc.emulator.report import model_info  # noqa: PLC0415

    try:
        model = read_om(path)
    except OmError as error:
        raise AtcError("E10041", parameter=path) from error
    print("\n".join(model_info(model, path.stat().st_size)))


def _printable(lines: Sequence[str]) -> str:
    """Lines as text; bytes of the command line that are not UTF-8 are written with a backslash."""
    return "\n".join(lines).encode(errors="backslashreplace").decode()


def error_block(error: Exception) -> list[str]:
    """The lines that follow the failure line: code and message, cause, remedy, trace."""
    if isinstance(error, OSError):  # input files have their own codes, so this is an output file
        error = AtcError("E13004", file=error.filename, errmsg=error.strerror)
    if not isinstance(error, AtcError):
        error = AtcError("E19999", reason=f"{type(error).__name__}: {' '.join(str(error).split())}")
    code = CODES[error.code]
    indent = " " * 8
    return [
        f"{error.code}: {error.text}.",
        f"{indent}Possible Cause: {code.cause}.",
        f"{indent}Solution: {code.remedy}.",
        f"{indent}TraceBack (most recent call last):",
        f"{indent}infra.atc.emulator.command (stand-in)",
    ]


def usage() -> str:
    """The text of `--help`."""
    return "\n".join(
        (
            "usage: atc <options>   (this is AtlasFlow's stand-in)",
            *(f"  --{name:26} {text}" for name, text in OPTIONS.items()),
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
