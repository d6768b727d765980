"""What a chip and a machine add to the lint: found before hours of compilation (docs/reference/atc.md §3.8)."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import TensorProto

from infra.atc.generations import CHIPS, NAMES, ordered, within
from infra.atc.kernels import compiles, families_in, family
from infra.atc.lint.findings import Finding, Level, Rule, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

_LITTLE_MEMORY = 8 * 1024**3  # bytes; compilers on boards with 4 GB were killed


@dataclass(frozen=True)
class Machine:
    """The machine that compiles.

    Attributes:
        memory: bytes.
        board: True when it is a board itself: it has an NPU and an ARM processor.
        toolkit: folder of its CANN toolkit; None without one, as with the stand-in.
    """

    memory: int
    board: bool
    toolkit: Path | None = None


def this_machine(toolkit: Path | None) -> Machine:
    """The machine that this runs on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    board = platform.machine() == "aarch64" and Path("/dev/davinci_manager").exists()
    return Machine(memory, board, toolkit)


def examine(model: onnx.ModelProto, soc_version: str, machine: Machine) -> list[Finding]:
    """Find what a chip and a machine make of a model; `rules.lint` has what depends on the CANN.

    Args:
        model: the graph; weights are not looked at.
        soc_version: the chip.
        machine: that compiles.
    """
    return [
        *_chip(soc_version),
        *_crashes(model),
        *_numbers(model),
        *_kernels(soc_version, machine),
        *_machine(machine),
    ]


def _chip(soc_version: str) -> Iterator[Finding]:
    if soc_version not in CHIPS:
        remedy = "take the name that `npu-smi info` shows, after Ascend"
        yield Finding(Rule.CHIP, Level.ERROR, f"no CANN here knows {soc_version}", remedy)


def _crashes(model: onnx.ModelProto) -> Iterator[Finding]:
    nodes = [node.name or node.op_type for node in model.graph.node
             if node.op_type == "NonMaxSuppression" and sum(map(bool, node.input)) in (3, 4)]  # fmt: skip
    if nodes:
        yield Finding(
            Rule.CRASH,
            Level.ERROR,
            f"NonMaxSuppression with three or four inputs: {some(nodes)}; compilers crashed on it (exit status 139)",
            "end the model before it and select boxes on the host",
        )


def _numbers(model: onnx.ModelProto) -> Iterator[Finding]:
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input
             if value.name not in weights and value.type.tensor_type.elem_type == TensorProto.INT64]  # fmt: skip
    if names:
        yield Finding(
            Rule.NUMBERS,
            Level.NOTE,
            f"int64 inputs: {some(names)}; the chip computes with int32, and a board's program must still send int64",
            "export them as int32",
        )


def _kernels(soc_version: str, machine: Machine) -> Iterator[Finding]:
    if not compiles(machine.toolkit, soc_version):
        present, needed = ", ".join(families_in(machine.toolkit)), family(soc_version)
        yield Finding(
            Rule.KERNELS,
            Level.ERROR,
            f"{machine.toolkit} has operators for {present}, not for {needed}",
            f"install the operator package of {needed} at an installation path of its own, and name that path's "
            "set_env.sh in atc.toolkits",
        )


def _machine(machine: Machine) -> Iterator[Finding]:
    if machine.board:
        yield Finding(
            Rule.MACHINE,
            Level.NOTE,
            "this is a board: a model of some size takes it hours, and often all its memory",
            "compile on a computer: ATC needs no NPU (docs/real-atc.md)",
        )
    elif machine.toolkit is not None and machine.memory < _LITTLE_MEMORY:
        yield Finding(
            Rule.MACHINE,
            Level.NOTE,
            f"{machine.memory / 2**30:.0f} GB of memory; compilers were killed with 4 GB (exit status 137)",
            "set TE_PARALLEL_COMPILER=1, or compile on a larger machine",
        )


def nearest(version: str) -> str:
    """The generation that a toolkit's version belongs to: the newest that is not newer; else the oldest."""
    fitting = [name for name in NAMES if ordered(version) != (0, 0) and within(version, name, "")]
    return fitting[-1] if fitting else NAMES[0]
