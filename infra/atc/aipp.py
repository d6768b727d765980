"""Write the configuration of AIPP, the preprocessing in front of a model (docs/reference/atc.md §3.5).

The text is protobuf's text format: blocks `aipp_op { key : value … }`. On the chip `mean_chn` is an unsigned byte and
`min_chn` and `var_reci_chn` are float16, so the chip computes

    out = (in - mean_chn - float16(min_chn)) * float16(var_reci_chn)
"""

from collections.abc import Mapping, Sequence

Value = bool | int | float | str
Aipp = Mapping[str, Value]
"""One block's keys and values."""


def normalising(mean: Sequence[float], std: Sequence[float], *, width: int, height: int, swap: bool = False) -> str:
    """The configuration that computes `(x / 255 - mean) / std` from a byte image in RGB888.

    Args:
        mean: of each channel, in [0, 1], in the model's order of channels.
        std: likewise.
        width: of the image, in pixels.
        height: likewise.
        swap: the image has the opposite order of channels (BGR for an RGB model).

    Returns:
        The text; `mean_chn` is 0, `min_chn` is 255·mean and `var_reci_chn` is 1 / (255·std).

    Raises:
        ValueError: not three channels, or a std that is not positive.
    """
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"RGB888 needs three means and three positive standard deviations, not {mean} and {std}")
    values: dict[str, Value] = {
        "aipp_mode": "static", "input_format": "RGB888_U8", "src_image_size_w": width, "src_image_size_h": height,
        "rbuv_swap_switch": swap,
    }  # fmt: skip
    values |= {f"mean_chn_{index}": 0 for index in range(3)}
    values |= {f"min_chn_{index}": 255 * value for index, value in enumerate(mean)}
    values |= {f"var_reci_chn_{index}": 1 / (255 * value) for index, value in enumerate(std)}
    return write(values)


def write(values: Aipp) -> str:
    """One `aipp_op` block as text."""
    lines = []
    for key, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        lines.append(f"    {key} : {text}\n" if key != "related_input_name" else f'    {key} : "{text}"\n')
    return "aipp_op {\n" + "".join(lines) + "}\n"
