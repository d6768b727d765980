"""The port to a compiler."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from infra.ports.values import OnLine, Producer


@dataclass(frozen=True)
class CompileRequest:
    """One compilation.

    Attributes:
        model: file to compile; `.onnx` or `.air`.
        output: the `.om` file to write.
        soc_version: the chip, such as `Ascend310`.
        input_shape: input name to dimensions; used for ONNX only, as in ATC.
        options: further ATC options by name without dashes, such as `precision_mode`.
    """

    model: Path
    output: Path
    soc_version: str
    input_shape: Mapping[str, Sequence[int]] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


class Compiler(Protocol):
    """ATC or its stand-in."""

    def producer(self) -> Producer:
        """The compiler, with its version."""
        ...

    def compile(self, request: CompileRequest, lines: OnLine) -> None:
        """Write `request.output` atomically; raises the error class of ATC's error code."""
        ...
