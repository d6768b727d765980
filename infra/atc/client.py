"""The port `Compiler` over Huawei's `atc` command or its stand-in: one class for both commands.

ATC runs in a temporary folder next to the output, on copies with plain names, because it litters its working folder
and accepts few characters in paths (docs/reference/atc.md §3.1, §3.2); only a complete `.om` leaves that folder.
"""

import difflib
import errno
import re
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.atc.codes import CODES
from infra.atc.options import OPTIONS
from infra.atc.request import FILE_OPTIONS
from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.ports.compilation import CompileRequest
from infra.ports.values import OnLine, Producer
from infra.program import run_program
from infra.store.atomic import replacing

FRAMEWORKS: Mapping[str, str] = {".air": "1", ".onnx": "5"}
_FROM_REQUEST = ("model", "weight", "framework", "output", "soc_version", "input_shape", "mode", "om", "json", "help")
_CODE = re.compile(r"\s*(?P<code>E[0-9A-Z]\d{4}): ?(?P<text>.*)")
_INNER = ("E19999", "EZ9999")  # these follow a more specific code


@dataclass(frozen=True)
class AtcCompiler:
    """Runs an `atc` command.

    Attributes:
        command: start of the argument list.
        made_by: the compiler, with its version.
        environment: variables added to this process's.
        seconds: time limit of one compilation; then the process group is killed.
        faults: with the points `compile.…` of the atomic write.
    """

    command: Sequence[str]
    made_by: Producer
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 3600.0
    faults: FaultPlan = NO_FAULTS

    def producer(self) -> Producer:
        """The compiler, with its version."""
        return self.made_by

    def compile(self, request: CompileRequest, lines: OnLine) -> None:
        """Write `request.output` atomically.

        Raises:
            UserError: the request can never work: a wrong option, a damaged model, a missing file.
            Refused: this compiler cannot compile the model, its installation is broken, or the disk is full.
            Transient: it took too long, ran out of memory or was killed.
        """
        _check(request)
        output: list[str] = []

        def on_line(line: str) -> None:
            output.append(line)
            lines(line)

        try:
            request.output.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".atc-", dir=request.output.parent) as name:
                folder = Path(name)
                arguments = _stage(request, folder)
                finished = run_program(
                    [*self.command, *arguments],
                    on_line=on_line,
                    environment=self.environment,
                    folder=folder,
                    seconds=self.seconds,
                )
                if finished.code != 0:
                    raise _explain(finished.code, output, request)
                with replacing(request.output, faults=self.faults, point="compile") as temporary:
                    _result(folder, request).replace(temporary)
        except OSError as error:
            kind = Refused if error.errno in (errno.ENOSPC, errno.EDQUOT) else UserError
            raise kind(
                f"{request.model} cannot be compiled to {request.output}: {error.strerror or error}",
                hint="check the paths, the rights and the free space",
            ) from error


def input_shape(shapes: Mapping[str, Sequence[int]]) -> str:
    """The text of `--input_shape`: `name1:n,c,h,w;name2:n,c,h,w`."""
    return ";".join(f"{name}:{','.join(map(str, dims))}" for name, dims in shapes.items())


def _check(request: CompileRequest) -> None:
    if request.model.suffix not in FRAMEWORKS:
        known = ", ".join(FRAMEWORKS)
        raise UserError(f"{request.model} is not a model for ATC", hint=f"its suffix must be one of {known}")
    if not request.model.is_file():
        raise UserError(f"there is no model {request.model}")
    if request.output.suffix != ".om":
        raise UserError(f"the output {request.output} does not end in .om", hint="ATC would add it")
    for name in request.options:
        if name in _FROM_REQUEST:
            raise UserError(f"'{name}' is not a further option of ATC", hint="AtlasFlow sets it itself")
        if name == "external_weight":
            raise UserError("external_weight would store the weights outside the .om", hint="remove it")
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            raise UserError(f"ATC has no option '{name}'", hint=f"did you mean '{near[0]}'?" if near else "")


def _stage(request: CompileRequest, folder: Path) -> list[str]:
    """Copy ATC's input files into `folder`; returns the arguments that name them there."""
    model = f"model{request.model.suffix}"
    shutil.copyfile(request.model, folder / model)
    values = {
        "model": model,
        "framework": FRAMEWORKS[request.model.suffix],
        "output": request.output.stem,
        "soc_version": request.soc_version,
    }
    if request.input_shape and values["framework"] != "1":  # ATC ignores it there
        values["input_shape"] = input_shape(request.input_shape)
    for name, value in request.options.items():
        if name in FILE_OPTIONS:
            shutil.copyfile(value, folder / FILE_OPTIONS[name])
        values[name] = FILE_OPTIONS.get(name, value)
    return [f"--{name}={value}" for name, value in values.items()]


def _result(folder: Path, request: CompileRequest) -> Path:
    """The `.om` that ATC wrote; with host code, its name ends with system and processor (atc.md §3.2)."""
    stem = request.output.stem
    found = [path for path in (folder / f"{stem}.om", *sorted(folder.glob(f"{stem}_*.om"))) if path.is_file()]
    if not found:
        raise Refused(f"ATC reported success and wrote no .om for {request.model}", hint="read its output")
    return found[0]


# What a signal says of a compiler (docs/reference/atc.md §3.8).
_ENDED: Mapping[signal.Signals, tuple[type[AtlasFlowError], str]] = {
    signal.SIGKILL: (
        Transient,
        "it ran out of memory: compile on a machine with more than 8 GB instead of on the board, or set "
        "TE_PARALLEL_COMPILER=1",
    ),
    signal.SIGSEGV: (
        Refused,
        "the compiler itself crashed; graphs with NonMaxSuppression are known for it: end the model before it, or use "
        "another CANN",
    ),
}


def _signal(code: int) -> signal.Signals | None:
    """The signal that ended a program: its own status, or 128 more from the shell script `atc` around `atc.bin`."""
    number = -code if code < 0 else code - 128
    return signal.Signals(number) if number in _SIGNALS else None


_SIGNALS = {int(item) for item in signal.Signals if item < signal.SIGRTMIN}


def _explain(code: int, output: Sequence[str], request: CompileRequest) -> AtlasFlowError:
    """The error for the output of a failed ATC."""
    what = f"ATC cannot compile {request.model} for {request.soc_version}"
    if (ended_by := _signal(code)) is not None:
        kind, hint = _ENDED.get(ended_by, (Transient, "run it again"))
        return kind(f"{what}: {ended_by.name} ended it", hint=hint)
    matches = [match for match in map(_CODE.match, output) if match is not None]
    best = next((match for match in matches if match["code"] not in _INNER), matches[0] if matches else None)
    if best is None:
        last = next((line for line in reversed(output) if line.strip()), "it printed nothing")
        return Refused(f"{what}: exit status {code}: {last}", hint="read its output and its plog")
    known = CODES.get(best["code"])
    message = f"{what}: {best['code']}: {best['text'].rstrip('.')}"
    if known is None:
        return Refused(message, hint="look the code up in the manual of this CANN")
    return known.error(f"{message} ({known.cause})", hint=known.remedy)
