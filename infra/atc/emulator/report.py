"""ATC's reports: the result of a check, a graph as JSON (mode 1), the description of an `.om` (mode 6)."""

import json
from collections.abc import Sequence
from typing import Any

import onnx

from infra.atc.emulator.graph import Checked, dims_of
from infra.atc.emulator.om import OmModel


def check_report(name: str, checked: Sequence[Checked]) -> str:
    """The JSON of a check: each operator's name, type and result.

    Args:
        name: of the graph.
        checked: name, type and error of each operator.
    """
    operators = []
    for operator, kind, error in checked:
        entry: dict[str, Any] = {
            "op_name": operator,
            "op_type": kind,
            "result": "success" if error is None else "failed",
        }
        if error is not None:
            entry["cause"] = [{"code": error.code, "message": error.text}]
        operators.append(entry)
    failed = any(error is not None for *_, error in checked)
    return _text({"graph_name": name, "result": "failed" if failed else "success", "op": operators})


def graph_json(model: onnx.ModelProto, inferred: onnx.ModelProto | None = None) -> str:
    """A graph as JSON: operators with their types, inputs and outputs; with `inferred`, the outputs' shapes too."""
    shapes = {}
    if inferred is not None:
        shapes = {value.name: dims_of(value) for value in (*inferred.graph.value_info, *inferred.graph.output)}
    operators = []
    for node in model.graph.node:
        ends = {"input": list(node.input), "output": list(node.output)}
        entry: dict[str, Any] = {"name": node.name, "type": node.op_type, **ends}
        if inferred is not None:
            entry["output_desc"] = [{"shape": {"dim": list(shapes.get(name, ()))}} for name in node.output]
        operators.append(entry)
    names = {
        "input": [value.name for value in model.graph.input],
        "output": [value.name for value in model.graph.output],
    }
    return _text({"name": model.graph.name, "graph": [{"name": model.graph.name, **names, "op": operators}]})


def model_info(model: OmModel, size: int) -> list[str]:
    """The lines of mode 6 and of `--display_model_info=1`.

    Args:
        model: the contents of a file.
        size: of the file, in bytes.
    """
    given = " ".join(f"--{name}={value}" for name, value in model.options.items())
    lines = [
        "============ Display Model Info start ============",
        f"Original Atc command line: {given}",
        f"system   info: atc_version[{model.producer} {model.producer_version[:16]}], "
        f"soc_version[{model.soc_version}], framework_type[{model.options.get('framework', '')}].",
        f"om       info: om_size[{size} B], weight_data_size[{len(model.onnx)} B], "
        f"emulated[{str(model.emulated).lower()}].",
    ]
    for end, tensors in (("input", model.inputs), ("output", model.outputs)):
        for index, tensor in enumerate(tensors):
            dims = ",".join(map(str, tensor.dims))
            lines.append(
                f"{end}[{index}]: name[{tensor.name}], data type[{tensor.dtype}], format[{tensor.format}], "
                f"shape[{dims}], size[{tensor.size} B]"
            )
    if model.gears:
        lines.append(f"dynamic {model.gear_kind}: {';'.join(','.join(map(str, gear)) for gear in model.gears)}")
    return [*lines, "============ Display Model Info end   ============"]


def _text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
