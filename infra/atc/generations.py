"""What each generation of CANN accepts: chips, opsets, flags, error words. docs/compatibility.md is written from it.

Sources and tags of evidence are those of docs/reference/README.md. GE13 is the open graph engine 1.3.0 (CANN 5.0);
GE85, GE90 and GE26 are hicann/ge at 8.5.0, at 9.0.0 and at its head.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.errors import UserError

NAMES = ("5.1", "6.3", "7.0", "8.0", "8.5", "9.0")
DEFAULT = "8.0"
"""The newest generation that every chip of the project's boards has: Ascend310 is gone from 8.3 on."""
HEAD = "9.2"
"""Flags of GE26's head, in its code or its manual, that no generation above has."""
CYCLES = 4
"""An `.om` runs on the CANN that compiled it and on up to four later cycles (GE26 `--soc_version.md`)."""


@dataclass(frozen=True)
class Generation:
    """One generation.

    Attributes:
        name: such as `8.0`.
        opsets: versions of the standard operators that its parsers register. No public plug-in registers ai.onnx::7;
            a few (HardSigmoid) register ::1 and ::6, which make no network.
        opsets_source: where that is said.
        unknown_operator: the code of an operator without a parser.
        operators_packages: True when the operators of each chip are a package of their own.
        abbreviations: True when a long option may be shortened.
    """

    name: str
    opsets: range
    opsets_source: str
    unknown_operator: str = "E19010"
    operators_packages: bool = False
    abbreviations: bool = False


GENERATIONS: Mapping[str, Generation] = {
    found.name: found
    for found in (
        Generation("5.1", range(8, 14), "plug-ins of CANN 5 register ai.onnx::8 to ::13 [C]; words of mmagic 1068 [P]"),
        Generation("6.3", range(8, 16), "between 5.1 and 8.0 [U]"),
        Generation("7.0", range(8, 16), "between 5.1 and 8.0 [U]"),
        Generation("8.0", range(8, 19), "plug-ins register ai.onnx::8 to ::18 [C]; 11 and 13 reported safe [P]"),
        Generation("8.5", range(8, 19), "the same; GE85 `onnx_parser.cc` has E16002 [C]", "E16002", True, True),
        Generation("9.0", range(8, 19), "the same; GE90 `onnx_parser.cc` [C]; manual: 11 to 18", "E16002", True, True),
    )
}


@dataclass(frozen=True)
class Chip:
    """A chip.

    Attributes:
        name: as `--soc_version` has it.
        first: its first generation here.
        last: its last one; empty when it is still there.
        bfloat16: True when it computes in bfloat16 (GE26 `--modify_mixlist.md`: A3, A2 and 200I/500 A2).
        source: where the chip and its generations are said.
    """

    name: str
    first: str
    last: str = ""
    bfloat16: bool = False
    source: str = "Huawei's opened sources list the chip; its first generation is [U]"


def _chips() -> tuple[Chip, ...]:
    listed = "listed up to 8.0 alpha, absent from 8.3.RC1 on [C]"
    old = [Chip("Ascend310", "5.1", "8.0", source=listed)]
    for name in ("310P1", "310P3", "610", "910", "910A", "910B", "910PremiumA", "910ProA", "910ProB"):
        old.append(Chip(f"Ascend{name}", "5.1"))
    for name in ("310P5", "310P7", "610Lite"):
        old.append(Chip(f"Ascend{name}", "7.0"))
    for name in ("310B1", "310B2", "310B3", "310B4", "910B1", "910B2", "910B3", "910B4"):
        old.append(Chip(f"Ascend{name}", "6.3", bfloat16=True))
    old.append(Chip("Ascend910B2C", "7.0", bfloat16=True))
    for name in ("910B4-1", *(f"910_93{number}" for number in (61, 62, 71, 72, 81, 82, 91, 92))):
        old.append(Chip(f"Ascend{name}", "8.0", bfloat16=True))
    return tuple(old)


CHIPS: Mapping[str, Chip] = {chip.name: chip for chip in _chips()}

_GE13 = (
    "aicore_num auto_tune_mode buffer_optimize cal_conf check_report compress_weight_conf core_type debug_dir "
    "device_id disable_reuse_memory display_model_info dump_mode dynamic_batch_size dynamic_dims dynamic_image_size "
    "enable_compress_weight enable_scope_fusion_passes enable_single_stream enable_small_channel framework "
    "fusion_switch_file help input_format input_fp16_nodes input_shape input_shape_range insert_op_conf "
    "is_input_adjust_hw_layout is_output_adjust_hw_layout json keep_dtype log mdl_bank_path mode model "
    "modify_mixlist om op_bank_path op_compiler_cache_dir op_compiler_cache_mode op_debug_level op_name_map "
    "op_precision_mode op_select_implmode optypelist_for_implmode out_nodes output output_type precision_mode "
    "save_original_model singleop soc_version target weight"
)
_BEFORE_85 = (
    "ac_parallel_enable allow_hf32 atomic_clean_policy cluster_config compression_optimize_conf customize_dtypes "
    "deterministic deterministic_level external_weight host_env_cpu host_env_os input_hint_shape is_weight_clip "
    "oo_level op_debug_config precision_mode_v2 quant_dumpable shape_generalized_build_mode sparsity status_check "
    "tiling_schedule_optimize virtual_type"
)
_HEAD = (
    "build_config h2d_overlapped_with_compute hccl_sub_comm_config jit_compile optimization_switch raw_ge_options "
    "raw_ge_options_ignore_unsupported static_model_ops_lower_limit export_compile_stat multi_stream_parallel_mode "
    "oo_constant_folding oo_dead_code_elimination topo_sorting_mode"
)
FLAGS: Mapping[str, str] = {
    **dict.fromkeys(_GE13.split(), "5.1"),
    **dict.fromkeys(_BEFORE_85.split(), "6.3"),
    "enable_attr_compression": "9.0",
    **dict.fromkeys(_HEAD.split(), HEAD),
}
"""Flag → the first generation that has it: 5.1 by GE13, 9.0 by GE90 without GE85, 9.2 by GE26's head [C].

Those of GE85 that GE13 lacks came somewhere between 5.1 and 8.5 [U]; the table says 6.3, the earliest.
"""


def generation(name: str) -> Generation:
    """A generation by its name; raises UserError for an unknown one."""
    found = GENERATIONS.get(name)
    if found is None:
        raise UserError(f"CANN {name} is not known here", hint=f"name one of {', '.join(NAMES)}")
    return found


def nearest(version: str) -> Generation:
    """The newest generation that is not newer than a version of CANN such as `8.1.RC1`; the oldest for an older one."""
    older = [found for found in GENERATIONS.values() if ordered(found.name) <= ordered(version)]
    return older[-1] if older else GENERATIONS[NAMES[0]]


def chips_of(name: str) -> tuple[str, ...]:
    """The chips of a generation."""
    return tuple(chip.name for chip in CHIPS.values() if within(name, chip.first, chip.last))


def has_flag(name: str, flag: str) -> bool:
    """Whether a generation has a flag."""
    return flag in FLAGS and within(name, FLAGS[flag], "")


def within(name: str, first: str, last: str) -> bool:
    """Whether a generation lies between two, both included; no limit where `last` is empty."""
    return ordered(first) <= ordered(name) and (not last or ordered(name) <= ordered(last))


def ordered(version: str) -> tuple[int, int]:
    """Major and minor number of a CANN version such as `8.0` or `8.1.RC1`; (0, 0) for a text without them."""
    parts = version.split(".")
    if len(parts) < 2 or not parts[0].isdigit() or not parts[1].isdigit():
        return 0, 0
    return int(parts[0]), int(parts[1])


# The releases of CANN in order, by their first two numbers: a cycle is one of them (hiascend's release notes [U]).
_CYCLES = ((5, 0), (5, 1), (6, 0), (6, 3), (7, 0), (8, 0), (8, 1), (8, 2), (8, 3), (8, 5), (9, 0), (9, 1), (9, 2))


def runs_on(compiler: str, board: str) -> bool | None:
    """Whether a board's CANN runs what a compiler's CANN made: not older, and at most four cycles newer.

    Args:
        compiler: its version, such as `7.0.RC1`.
        board: the board's.

    Returns:
        None when one of the versions cannot be read.
    """
    made, here = ordered(compiler), ordered(board)
    if (0, 0) in (made, here):
        return None
    if here < made:
        return False
    return sum(made < cycle <= here for cycle in _CYCLES) <= CYCLES
