"""Read and check the configuration of AIPP as ATC does (docs/reference/atc.md §3.5)."""

import re
from collections.abc import Mapping, Sequence

from infra.atc.aipp import Aipp, Value
from infra.atc.codes import AtcError

CHANNELS: Mapping[str, int] = {"YUV420SP_U8": 3, "XRGB8888_U8": 4, "RGB888_U8": 3, "YUV400_U8": 1}
"""Input format → channels before anything is dropped."""

_SWITCHES = (
    "csc_switch", "rbuv_swap_switch", "ax_swap_switch", "single_line_mode", "crop", "padding", "resize",
    "support_rotation",
)  # fmt: skip
_WHOLE = (
    "related_input_rank", "input_edge_idx", "max_src_image_size", "src_image_size_w", "src_image_size_h",
    "load_start_pos_w", "load_start_pos_h", "crop_size_w", "crop_size_h", "resize_output_w", "resize_output_h",
    "left_padding_size", "right_padding_size", "top_padding_size", "bottom_padding_size",
    *(f"mean_chn_{index}" for index in range(4)),
    *(f"matrix_r{row}c{column}" for row in range(3) for column in range(3)),
    *(f"{end}_bias_{index}" for end in ("output", "input") for index in range(3)),
)  # fmt: skip
_FRACTIONS = ("cpadding_value", *(f"{key}_chn_{index}" for key in ("min", "var_reci") for index in range(4)))
KEYS: Mapping[str, type] = {
    **dict.fromkeys(_SWITCHES, bool), **dict.fromkeys(_WHOLE, int), **dict.fromkeys(_FRACTIONS, float),
    "aipp_mode": str, "input_format": str, "related_input_name": str,
}  # fmt: skip
"""Every key and the type of its value; `aipp_mode` and `input_format` are enumerations."""
_WORDS: Mapping[str, tuple[str, ...]] = {"aipp_mode": ("static", "dynamic"), "input_format": tuple(CHANNELS)}
_TOKEN = re.compile(r"""\s*(?:\#[^\n]*\s*)*(?P<token>[{}:;,]|"[^"\n]*"|'[^'\n]*'|[^\s{}:;,\#"']+)?""")
_RANGES: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys([f"mean_chn_{index}" for index in range(4)], (0, 255)),
    **dict.fromkeys([f"{side}_padding_size" for side in ("left", "right", "top", "bottom")], (0, 32)),
    **dict.fromkeys([f"{end}_bias_{index}" for end in ("output", "input") for index in range(3)], (0, 255)),
    **dict.fromkeys([key for key in _WHOLE if key.startswith("matrix")], (-32677, 32676)),
}


def _colours(rows: Sequence[Sequence[int]], end: str) -> Aipp:
    matrix = {f"matrix_r{row}c{column}": value for row, line in enumerate(rows) for column, value in enumerate(line)}
    return {**matrix, **{f"{end}_bias_{index}": value for index, value in enumerate((16, 128, 128))}}


# The compiler's own defaults: `AippOp::SetCscDefaultValue` of the graph engine, BT.601 with a narrow range.
_YUV_TO_BGR = _colours([(298, 516, 0), (298, -100, -208), (298, 0, 409)], "input")
_RGB_TO_YUV = _colours([(66, 129, 25), (-38, -74, 112), (112, -94, -18)], "output")


def read(text: str, origin: str) -> list[Aipp]:
    """Read the blocks of a configuration.

    Args:
        text: protobuf text.
        origin: name of the file, for errors.

    Raises:
        AtcError: E13018 for invalid text; E10052 for keys that contradict each other.
    """
    blocks = []
    try:
        tokens = _tokens(text)
        while tokens:
            blocks.append(_block(tokens))
        if not blocks:
            raise ValueError("it has no aipp_op")
    except (ValueError, IndexError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it ends inside a block"
        raise AtcError("E13018", protofile=origin, reason=reason) from error
    for block in blocks:
        _check(block)
    return [_with_colours(block) for block in blocks]


def _with_colours(values: Aipp) -> Aipp:
    """Fill in the matrix when `csc_switch` is given without one, as published configurations do."""
    if not values.get("csc_switch") or any(key.startswith("matrix") for key in values):
        return values
    return {**(_YUV_TO_BGR if values["input_format"] == "YUV420SP_U8" else _RGB_TO_YUV), **values}


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position:
            raise ValueError(f"'{text[position : position + 10]}' is not understood")
        position = match.end()
        if match["token"] is not None:
            tokens.append(match["token"])
    return tokens


def _block(tokens: list[str]) -> Aipp:
    """Parse one `aipp_op [:] { … }` and remove its tokens."""
    if (name := tokens.pop(0)) != "aipp_op":
        raise ValueError(f"'{name}' stands where aipp_op should")
    if tokens[0] == ":":
        tokens.pop(0)
    if (opening := tokens.pop(0)) != "{":
        raise ValueError(f"'{opening}' stands where {{ should")
    values: dict[str, Value] = {}
    while (key := tokens.pop(0)) != "}":
        if key not in KEYS:
            raise ValueError(f"there is no key '{key}'")
        if key in values:
            raise ValueError(f"'{key}' is there twice")
        if (colon := tokens.pop(0)) != ":":
            raise ValueError(f"'{colon}' follows '{key}' where : should")
        values[key] = _value(key, tokens.pop(0))
        if tokens[0] in (",", ";"):
            tokens.pop(0)
    return values


def _value(key: str, text: str) -> Value:
    if key in _WORDS:
        if text not in _WORDS[key]:
            raise ValueError(f"{key} is one of {', '.join(_WORDS[key])}, not {text}")
        return text
    kind = KEYS[key]
    if kind is bool:
        if text not in ("true", "false", "0", "1"):
            raise ValueError(f"{key} is true or false, not {text}")
        return text in ("true", "1")
    if kind is str:
        return text.strip("\"'")
    try:
        return int(text, 0) if kind is int else float(text.rstrip("f"))
    except ValueError as error:
        raise ValueError(f"{key} is a number, not {text}") from error


def _check(values: Aipp) -> None:
    """Raise E10052 for keys that contradict each other, E10055 for what the stand-in cannot do."""
    mode = values.get("aipp_mode")
    if mode is None:
        raise AtcError("E10052", reason="aipp_mode must be static or dynamic")
    if mode == "dynamic":
        raise AtcError("E10055", reason="this stand-in does not support dynamic AIPP")
    if "input_format" not in values:
        raise AtcError("E10052", reason="static AIPP needs input_format")
    if values.get("resize"):
        raise AtcError("E10052", reason="resize is reserved")
    if "related_input_name" in values:
        raise AtcError("E10052", reason="related_input_name is for Caffe; use related_input_rank")
    for key, (least, most) in _RANGES.items():
        if not least <= int(values.get(key, least if least >= 0 else 0)) <= most:
            raise AtcError("E10052", reason=f"{key} must be from {least} to {most}")
    if values.get("csc_switch") and values["input_format"] == "YUV400_U8":
        raise AtcError("E10052", reason="YUV400_U8 has nothing to convert")
