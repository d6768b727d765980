"""Checks of single values of ATC's options (docs/reference/atc.md §3.2)."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.atc.codes import AtcError
from infra.atc.options import IMPLEMENTATION_MODES

_SWITCHES = (
    "enable_small_channel", "disable_reuse_memory", "deterministic", "virtual_type", "external_weight",
    "display_model_info", "dump_mode", "sparsity", "ac_parallel_enable", "tiling_schedule_optimize", "status_check",
    "quant_dumpable", "is_weight_clip", "atomic_clean_policy",
)  # fmt: skip
_TRUE_OR_FALSE = (
    "save_original_model", "enable_single_stream", "enable_compress_weight", "enable_attr_compression",
    "raw_ge_options_ignore_unsupported", "allow_hf32", "oo_constant_folding",
    "oo_dead_code_elimination",
)  # fmt: skip
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "buffer_optimize": ("l1_optimize", "l2_optimize", "off_optimize"),
    "op_compiler_cache_mode": ("disable", "enable", "force"),
    "host_env_os": ("linux",),
    "host_env_cpu": ("x86_64", "aarch64"),
    "core_type": ("AiCore", "VectorCore"),
    "auto_tune_mode": ("RL", "GA", "RL,GA", "GA,RL"),
    "op_select_implmode": IMPLEMENTATION_MODES,
    "deterministic_level": ("0", "1", "2"),
    "jit_compile": ("1", "0", "2"),
    "oo_level": ("O3", "O2", "O1"),
    "shape_generalized_build_mode": ("shape_precise", "shape_generalized"),
}
_FILES = (
    "keep_dtype", "modify_mixlist", "fusion_switch_file", "op_precision_mode", "compression_optimize_conf",
    "customize_dtypes", "cal_conf", "compress_weight_conf", "cluster_config",
)  # fmt: skip
_CHANGING: Mapping[str, str] = {
    "sparsity": "0", "compression_optimize_conf": "", "customize_dtypes": "", "cal_conf": "",
    "enable_compress_weight": "false", "build_config": "", "raw_ge_options": "",
}  # fmt: skip
"""Options that change what a model computes or is, and that the stand-in cannot follow → their value without effect."""
_NOTED = (
    "save_original_model", "enable_single_stream", "enable_scope_fusion_passes", "atomic_clean_policy", "mdl_bank_path",
    "op_bank_path", "op_debug_config", "status_check", "quant_dumpable", "is_weight_clip", "input_hint_shape",
    "is_input_adjust_hw_layout", "is_output_adjust_hw_layout", "ac_parallel_enable", "tiling_schedule_optimize",
    "oo_level", "jit_compile", "optimization_switch", "h2d_overlapped_with_compute", "hccl_sub_comm_config",
    "cluster_config", "shape_generalized_build_mode", "static_model_ops_lower_limit", "enable_attr_compression",
    "deterministic_level", "device_id", "target", "allow_hf32", "export_compile_stat", "topo_sorting_mode",
    "multi_stream_parallel_mode", "oo_constant_folding", "oo_dead_code_elimination",
)  # fmt: skip
"""Options about speed, memory or files beside the `.om`: checked, and without effect here."""


def check_values(options: Mapping[str, str], warn: Callable[[str], None] = lambda _text: None) -> None:
    """Check each value by itself.

    Args:
        options: name to value.
        warn: is told of options that have no effect here.

    Raises:
        AtcError: E10001, E10005, E10006, E10013, E10014, E10410; E10055 for what the stand-in cannot follow.
    """
    _check_words(options)
    _check_numbers(options)
    for name in _FILES:
        if options.get(name) and not is_file(options[name]):
            raise AtcError("E10410", cfgpath=options[name])
    for name, idle in _CHANGING.items():
        if options.get(name, idle) not in ("", idle):
            raise AtcError("E10055", reason=f"this stand-in cannot follow --{name}")
    for name in _NOTED:
        if options.get(name):
            warn(f"--{name} has no effect in this stand-in")


def _check_words(options: Mapping[str, str]) -> None:
    for name in _SWITCHES:
        if options.get(name, "0") not in ("0", "1"):
            raise AtcError("E10006", value=options[name], parameter=name)
    for name in _TRUE_OR_FALSE:
        if options.get(name, "true") not in ("true", "false"):
            raise AtcError("E10005", value=options[name], parameter=name)
    for name, choices in _CHOICES.items():
        if options.get(name, choices[0]) not in choices:
            reason = f"it is one of {', '.join(choices)}"
            raise AtcError("E10001", value=options[name], parameter=f"--{name}", reason=reason)


def _check_numbers(options: Mapping[str, str]) -> None:
    for name, form in (("op_debug_level", "[0-4]"), ("static_model_ops_lower_limit", "-1|[0-9]{1,18}")):
        if re.fullmatch(form, options.get(name, "0")) is None:
            raise AtcError("E10013", value=options[name], parameter=name)
    # The number of AI Cores, then after a bar that of vector cores.
    for name, form in (("aicore_num", r"[0-9]{1,9}(\|[0-9]{0,9})?"), ("device_id", "[0-9]{1,9}")):
        if re.fullmatch(form, options.get(name) or "1") is None:
            raise AtcError("E10014", value=options[name], parameter=name)


def is_file(name: str) -> bool:
    """Whether a path, which may be any text, is a file's."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False
