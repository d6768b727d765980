"""A stand-in for Huawei's `atc` command: `python -m infra.atc.emulator --model=… --framework=5 --output=… …`.

It takes ATC's options, checks them in ATC's order, prints ATC's lines on standard output, fails with ATC's error codes,
and writes an `.om` that the stand-in pyACL runs and no hardware does (ascend-domain.md §3). Its second line says so.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.atc.codes import CODES, AtcError
from infra.atc.options import OPTIONS, UnknownFlagError, check_compile, output_path, parse
from infra.atc.version import stand_in_version
from infra.store.atomic import write_text

START = "ATC start working now, please wait for a moment."
SUCCESS = "ATC run success, welcome to the next use."
FAILURE = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"
FAILED = 255  # -1 as an exit status; ascend-domain.md §3.1
_LEVELS = ("debug", "info", "warning", "error", "null")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    print(START, flush=True)
    try:
        options = parse(arguments)
    except UnknownFlagError as error:
        print(error, file=sys.stderr)
        return 1  # gflags' own
    if "help" in options:
        print(usage())
        return 0
    print(f"(AtlasFlow's stand-in for ATC, version {stand_in_version()[:16]}: its .om runs on no hardware)", flush=True)
    warnings: list[str] = []
    try:
        run(options, warnings)
    except AtcError as error:
        print("\n".join((FAILURE, *error_block(error))))
        return FAILED
    print("\n".join((SUCCESS, *(f"W11001: {warning}" for warning in warnings))))
    return 0


def run(options: Mapping[str, str], warnings: list[str]) -> None:
    """Do what `--mode` asks for; raises `AtcError`, appends to `warnings`."""
    if options.get("log", "null") not in _LEVELS:
        raise AtcError("E10010", loglevel=options["log"])
    mode = options.get("mode", "0")
    if options.get("singleop"):
        raise AtcError("E10055", reason="this stand-in compiles no single operators")
    if mode == "0":
        _compile(options, warnings)
    else:
        raise AtcError("E10001", value=mode, parameter="--mode", reason="it is 0, 1, 3 or 6")


def _compile(options: Mapping[str, str], warnings: list[str]) -> None:
    check_compile(options)
    target = output_path(options["output"])
    # Only now: a wrong option is answered without loading the ONNX library.
    from infra.atc.compiling import compile_model  # noqa: PLC0415
    from infra.atc.om import write_om  # noqa: PLC0415

    model = compile_model(options, stand_in_version(), warnings.append)
    try:
        write_om(target, model)
        # ATC leaves these in the working folder; ascend-domain.md §3.1.
        Path("kernel_meta").mkdir(exist_ok=True)
        write_text(Path("fusion_result.json").absolute(), "[]\n")
    except OSError as error:
        raise AtcError("E13004", file=target, errmsg=os.strerror(error.errno or 0)) from error


def error_block(error: AtcError) -> list[str]:
    """The lines that follow the failure line: code and message, cause, remedy, trace."""
    code = CODES[error.code]
    indent = " " * 8
    return [
        f"{error.code}: {error.text}.",
        f"{indent}Possible Cause: {code.cause}.",
        f"{indent}Solution: {code.remedy}.",
        f"{indent}TraceBack (most recent call last):",
        f"{indent}infra.atc.emulator (stand-in)",
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
