"""The operators of writer and reader: inputs, outputs and attributes by Huawei's public definitions.

Definitions are the `REG_OP(…)` entries of the operators' public headers (`nn_calculation_ops.h`, `nn_norm_ops.h`,
`nn_pooling_ops.h`, `matrix_calculation_ops.h`, `reduce_ops.h`, `array_ops.h`, `pad_ops.h` and others).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Default = bool | int | float | str | tuple[int, ...] | None


@dataclass(frozen=True)
class Operator:
    """The definition of an operator.

    Attributes:
        inputs: names of its inputs in order, required ones first.
        optional: the optional ones.
        outputs: names of its outputs.
        attributes: name to default; None means that the attribute is required (or a tensor).
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ("y",)
    optional: tuple[str, ...] = ()
    attributes: Mapping[str, Default] = field(default_factory=dict)


_ONES = (1, 1, 1, 1)
_ZEROS = (0, 0, 0, 0)
_POOLING: Mapping[str, Default] = {
    "ksize": None, "strides": None, "padding_mode": "CALCULATED", "pads": _ZEROS, "data_format": "NCHW",
    "global_pooling": False, "ceil_mode": False,
}  # fmt: skip

OPERATORS: Mapping[str, Operator] = {
    "Data": Operator(("x",), attributes={"index": 0}),
    "Const": Operator((), attributes={"value": None}),
    "Conv2D": Operator(
        ("x", "filter", "bias", "offset_w"),
        optional=("bias", "offset_w"),
        attributes={
            "strides": None, "pads": None, "dilations": _ONES, "groups": 1, "data_format": "NHWC", "offset_x": 0,
        },
    ),
    "BatchNorm": Operator(
        ("x", "scale", "offset", "mean", "variance"),
        ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2", "reserve_space_3"),
        optional=("mean", "variance"),
        attributes={"epsilon": 1e-4, "data_format": "NHWC", "is_training": True},
    ),
    "Relu": Operator(("x",)),
    "Sigmoid": Operator(("x",)),
    "Tanh": Operator(("x",)),
    "MaxPoolV3": Operator(("x",), attributes=_POOLING),
    "AvgPoolV2": Operator(("x",), attributes={**_POOLING, "exclusive": True, "divisor_override": 0}),
    "Add": Operator(("x1", "x2")),
    "Mul": Operator(("x1", "x2")),
    "Pad": Operator(("x", "paddings")),
    "ReduceMean": Operator(("x", "axes"), attributes={"keep_dims": False, "noop_with_empty_axes": True}),
    "FlattenV2": Operator(("x",), attributes={"axis": 1, "end_axis": -1}),
    "Reshape": Operator(("x", "shape"), attributes={"axis": 0, "num_axes": -1}),
    "MatMulV2": Operator(
        ("x1", "x2", "bias", "offset_w"),
        optional=("bias", "offset_w"),
        attributes={"transpose_x1": False, "transpose_x2": False, "offset_x": 0},
    ),
    "NetOutput": Operator(("x",), ()),
}  # fmt: skip
"""Operator type → definition. `NetOutput` takes any number of inputs, named `x0`, `x1` …"""
