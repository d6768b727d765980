"""Typed ATC options, written as the texts of a `CompileRequest`'s `options`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from infra.errors import UserError

FILE_OPTIONS: Mapping[str, str] = {
    "insert_op_conf": "aipp.cfg", "keep_dtype": "keep_dtype.cfg", "modify_mixlist": "mixlist.json",
    "fusion_switch_file": "fusion_switch.cfg", "op_precision_mode": "op_precision.ini",
}  # fmt: skip
"""Options that name a file → the file's name in ATC's working folder."""


@dataclass(frozen=True)
class AtcOptions:
    """ATC's further options (docs/reference/atc.md §3.2); empty ones are left out.

    Attributes:
        precision_mode: such as `force_fp16`; ATC's default when empty.
        precision_mode_v2: such as `fp16`; an alternative to `precision_mode`.
        input_format: layout of the inputs, such as `NCHW`.
        input_fp16_nodes: inputs of type float16.
        out_nodes: outputs, as `node:index`.
        output_type: such as `FP16`, for all outputs; or `node:index:TYPE;…`.
        aipp: a file with an AIPP configuration (see `infra.atc.aipp.normalising`).
        batch_gears: batch sizes of a model with dynamic batch.
        image_gears: heights and widths of a model with dynamic image size.
        dims_gears: the values of every -1 in the input shapes.
        keep_dtype: a file with operators that keep float32.
        modify_mixlist: a file with changes to the lists of mixed precision.
        op_precision_mode: a file with a precision for each operator type.
        op_select_implmode: such as `high_precision`.
        optypelist_for_implmode: the operator types of `op_select_implmode`.
        fusion_switch_file: a file with the fusions that are off.
        buffer_optimize: such as `off_optimize`.
        disable_reuse_memory: give each tensor its own memory.
        enable_small_channel: optimise inputs with few channels.
        virtual_type: for virtual devices.
        deterministic: compute the same results every time.
        op_compiler_cache_mode: disable, enable or force.
        op_compiler_cache_dir: the folder of compiled operators.
        debug_dir: the folder of debugging files.
        op_debug_level: 0 to 4.
        host_env_os: operating system of the host, for models with host code.
        host_env_cpu: processor of the host.
        core_type: AiCore or VectorCore.
        aicore_num: number of cores to use; 0 for all.
        display_model_info: print a summary of the model.
        log: debug, info, warning, error or null.
        more: options without an attribute here, by name without dashes.
    """

    precision_mode: str = ""
    precision_mode_v2: str = ""
    input_format: str = ""
    input_fp16_nodes: Sequence[str] = ()
    out_nodes: Sequence[str] = ()
    output_type: str = ""
    aipp: Path | None = None
    batch_gears: Sequence[int] = ()
    image_gears: Sequence[tuple[int, int]] = ()
    dims_gears: Sequence[Sequence[int]] = ()
    keep_dtype: Path | None = None
    modify_mixlist: Path | None = None
    op_precision_mode: Path | None = None
    op_select_implmode: str = ""
    optypelist_for_implmode: Sequence[str] = ()
    fusion_switch_file: Path | None = None
    buffer_optimize: str = ""
    disable_reuse_memory: bool = False
    enable_small_channel: bool = False
    virtual_type: bool = False
    deterministic: bool = False
    op_compiler_cache_mode: str = ""
    op_compiler_cache_dir: Path | None = None
    debug_dir: Path | None = None
    op_debug_level: int = 0
    host_env_os: str = ""
    host_env_cpu: str = ""
    core_type: str = ""
    aicore_num: int = 0
    display_model_info: bool = False
    log: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """Option name to text.

        Raises:
            UserError: `more` has an option that an attribute sets.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "more"}
        own = {_NAMES.get(name, name): _text(name, value) for name, value in values.items() if value}
        if twice := sorted(own.keys() & self.more.keys()):
            raise UserError(f"{', '.join(twice)} is given twice", hint="remove it from the further options of ATC")
        return {**own, **{name: value for name, value in self.more.items() if value}}


_NAMES: Mapping[str, str] = {
    "aipp": "insert_op_conf", "batch_gears": "dynamic_batch_size", "image_gears": "dynamic_image_size",
    "dims_gears": "dynamic_dims",
}  # fmt: skip
_WITH_COMMAS = ("batch_gears", "optypelist_for_implmode")
_FOLDERS = ("op_compiler_cache_dir", "debug_dir")


def _text(name: str, value: Any) -> str:
    """A value as ATC expects it; a folder's path becomes absolute, because ATC runs in a temporary folder."""
    if isinstance(value, bool):
        return "1"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, Path):
        return str(value.absolute() if name in _FOLDERS else value)
    parts = [",".join(map(str, item)) if isinstance(item, Sequence) and not isinstance(item, str) else str(item)
             for item in value]  # fmt: skip
    return ("," if name in _WITH_COMMAS else ";").join(parts)
