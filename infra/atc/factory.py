"""Open the compiler that the settings name: Huawei's `atc`, or its stand-in."""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from infra.atc.client import AtcCompiler
from infra.atc.emulator.flags import VARIABLE
from infra.atc.emulator.version import stand_in_version
from infra.atc.generations import DEFAULT, generation
from infra.atc.several import SeveralToolkits
from infra.atc.toolkit import Toolkit, find_toolkits
from infra.errors import UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.ports.compilation import Compiler
from infra.ports.values import Producer

Choice = Literal["auto", "atc", "stand-in"]

_CHECKOUT = Path(__file__).resolve().parents[2]


def open_compiler(
    choice: Choice = "auto",
    *,
    cann: str = DEFAULT,
    seconds: float = 3600.0,
    faults: FaultPlan = NO_FAULTS,
    find: Callable[[], Sequence[Toolkit]] = find_toolkits,
) -> Compiler:
    """Open `atc`, `stand-in`, or with `auto` the first of them that is installed.

    Args:
        choice: which.
        cann: the generation that the stand-in plays.
        seconds: limit of one compilation.
        faults: points of the atomic write.
        find: looks for toolkits.

    Raises:
        UserError: `atc` is chosen and not installed.
    """
    toolkits = find() if choice != "stand-in" else ()
    if toolkits:
        compilers = [real(toolkit, seconds=seconds, faults=faults) for toolkit in toolkits]
        return compilers[0] if len(compilers) == 1 else SeveralToolkits(toolkits, compilers)
    if choice == "atc":
        raise UserError(
            "there is no atc on PATH, and no CANN toolkit in the usual places",
            hint="install the CANN toolkit, or source its set_env.sh, or set convert.compiler=stand-in",
        )
    return stand_in(cann=cann, seconds=seconds, faults=faults)


def real(toolkit: Toolkit, *, seconds: float = 3600.0, faults: FaultPlan = NO_FAULTS) -> AtcCompiler:
    """Open the `atc` of a toolkit."""
    made_by = Producer("atc", toolkit.version, emulated=False, details={"python": toolkit.python})
    return AtcCompiler([str(toolkit.atc)], made_by, toolkit.environment, seconds, faults)


def stand_in(*, cann: str = DEFAULT, seconds: float = 3600.0, faults: FaultPlan = NO_FAULTS) -> AtcCompiler:
    """Open the stand-in, which plays a generation of CANN; its version is the digest of its code."""
    details = {"onnx": version("onnx"), "cann": generation(cann).name}
    made_by = Producer("atc-stand-in", stand_in_version(), emulated=True, details=details)
    command = [sys.executable, "-m", "infra.atc.emulator.command"]
    return AtcCompiler(command, made_by, {"PYTHONPATH": str(_CHECKOUT), VARIABLE: cann}, seconds, faults)
