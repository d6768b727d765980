"""Typed ATC options, for a `CompileRequest`'s `options`: numbers and names here, ATC's texts there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import UserError


@dataclass(frozen=True)
class AtcOptions:
    """ATC's further options (ascend-domain.md §3.2); what is empty is not given.

    Attributes:
        precision_mode: such as `force_fp16`; ATC's default when empty.
        input_fp16_nodes: inputs that are fed as float16.
        out_nodes: outputs, as `node:index`.
        output_type: such as `FP16`, for all outputs; or `node:index:TYPE;…`.
        aipp: a file with an AIPP configuration (`infra.atc.aipp.normalising` writes one's text).
        batch_gears: batch sizes of a model with dynamic batch.
        image_gears: heights and widths of a model with dynamic image size.
        dims_gears: the numbers for every -1 of the input shapes.
        log: debug, info, warning, error or null.
        more: further options by name without dashes.
    """

    precision_mode: str = ""
    input_fp16_nodes: Sequence[str] = ()
    out_nodes: Sequence[str] = ()
    output_type: str = ""
    aipp: Path | None = None
    batch_gears: Sequence[int] = ()
    image_gears: Sequence[tuple[int, int]] = ()
    dims_gears: Sequence[Sequence[int]] = ()
    log: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """Option name to its text.

        Raises:
            UserError: `more` has an option that another attribute gives.
        """
        own = {
            "precision_mode": self.precision_mode,
            "input_fp16_nodes": ";".join(self.input_fp16_nodes),
            "out_nodes": ";".join(self.out_nodes),
            "output_type": self.output_type,
            "insert_op_conf": str(self.aipp or ""),
            "dynamic_batch_size": ",".join(map(str, self.batch_gears)),
            "dynamic_image_size": _gears(self.image_gears),
            "dynamic_dims": _gears(self.dims_gears),
            "log": self.log,
        }
        if twice := sorted(own.keys() & self.more.keys()):
            raise UserError(
                f"{', '.join(twice)} must not be among the further options of ATC", hint="set it by its name"
            )
        return {name: value for name, value in {**own, **self.more}.items() if value}


def _gears(gears: Sequence[Sequence[int]]) -> str:
    return ";".join(",".join(map(str, gear)) for gear in gears)
