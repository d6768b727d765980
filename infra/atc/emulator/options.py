"""ATC's command line: parsing in gflags' style, and the checks of single values (docs/reference/atc.md §3.2).

The checks run in ATC's order (docs/reference/atc.md §3.4, "Check order").
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.atc.codes import AtcError
from infra.atc.options import IMPLEMENTATION_MODES, OPTIONS, PRECISION_MODES, PRECISION_MODES_V2

SOC_VERSIONS = (
    "Ascend310", "Ascend310P1", "Ascend310P3", "Ascend310B1", "Ascend310B4",
    "Ascend910A", "Ascend910B", "Ascend910PremiumA", "Ascend910ProA", "Ascend910ProB",
    "Ascend910B1", "Ascend910B2", "Ascend910B2C", "Ascend910B3", "Ascend910B4",
)  # fmt: skip
"""The chips that the stand-in knows (docs/reference/atc.md §3.3)."""
BFLOAT16_SOCS = tuple(soc for soc in SOC_VERSIONS if re.fullmatch(r"Ascend910B\d.*", soc))

FRAMEWORKS = {"0": "Caffe", "1": "MindSpore", "3": "TensorFlow", "5": "ONNX"}
FORMATS = {
    "0": ("NCHW", "ND"),
    "1": ("NCHW",),
    "3": ("NCHW", "NHWC", "ND", "NCDHW", "NDHWC"),
    "5": ("NCHW", "NCDHW", "ND"),
}
DYNAMIC = ("dynamic_batch_size", "dynamic_image_size", "dynamic_dims", "input_shape_range")
IGNORED_FOR_AIR = ("input_shape", "input_fp16_nodes", "out_nodes")

DEFAULTS: Mapping[str, str] = {"mode": "0", "log": "null"}
_SWITCHES = (
    "enable_small_channel", "disable_reuse_memory", "deterministic", "virtual_type", "external_weight",
    "display_model_info", "dump_mode",
)  # fmt: skip
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "buffer_optimize": ("l1_optimize", "l2_optimize", "off_optimize"),
    "op_compiler_cache_mode": ("disable", "enable", "force"),
    "host_env_os": ("linux",),
    "host_env_cpu": ("x86_64", "aarch64"),
    "core_type": ("AiCore", "VectorCore"),
    "auto_tune_mode": ("RL", "GA", "RL,GA", "GA,RL"),
    "op_select_implmode": IMPLEMENTATION_MODES,
}
_FILES = ("keep_dtype", "modify_mixlist", "fusion_switch_file", "op_precision_mode")
_PATH_LIMIT = 4096


class UnknownFlagError(Exception):
    """The command line has an unknown flag; gflags stops before ATC prints any code."""


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """Parse `--name=value` and `--name value` to name and value; the last one wins. `--help` and `-h` give `help`.

    Raises:
        UnknownFlagError: anything else.
    """
    values: dict[str, str] = {}
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word in ("-h", "--help", "-help"):
            return {"help": "true"}
        match = re.fullmatch(r"--?([a-z_0-9]+)(?:=(.*))?", word, re.DOTALL)
        if match is None or match[1] not in OPTIONS:
            raise UnknownFlagError(f"ERROR: unknown command line flag '{match[1] if match else word}'")
        if match[2] is None and not waiting:
            raise UnknownFlagError(f"ERROR: flag '--{match[1]}' is missing its argument")
        values[match[1]] = match[2] if match[2] is not None else waiting.pop(0)
    return values


def check_compile(options: Mapping[str, str], *, writes: bool = True) -> None:
    """Check the options of modes 0 and 3, in ATC's order.

    Args:
        options: name to value.
        writes: False for mode 3, which has no output.

    Raises:
        AtcError: the first problem.
    """
    soc = options.get("soc_version", "")
    needed = ("soc_version", "output", "model") if writes else ("model",)
    for name in needed:
        if not options.get(name):
            raise AtcError("E10054", parameter=name)
    if soc and soc not in SOC_VERSIONS:
        raise AtcError("E10001", value=soc, parameter="--soc_version", reason=f"known are {', '.join(SOC_VERSIONS)}")
    check_readable("model", options["model"])
    if writes:
        output_path(options["output"])
    _check_framework(options)
    _check_precision(options, soc)
    _check_pairs(options)
    _check_values(options)
    if sum(bool(options.get(name)) for name in DYNAMIC) > 1:
        raise AtcError("E10009")
    if options.get("insert_op_conf") and options.get("dynamic_dims"):
        raise AtcError("E10047", parameter0="insert_op_conf", parameter1="dynamic_dims")


def check_readable(name: str, value: str) -> None:
    """Raise E10021 or E10001 unless the value of `--name` is a readable file."""
    if len(os.fsencode(value)) >= _PATH_LIMIT:
        raise AtcError("E10021", parameter=name, size=_PATH_LIMIT)
    if not Path(value).is_file():
        raise AtcError("E10001", value=value, parameter=f"--{name}", reason="there is no such file")
    if not os.access(value, os.R_OK):
        raise AtcError("E10001", value=value, parameter=f"--{name}", reason="the file cannot be read")


def output_path(value: str, name: str = "output", suffix: str = ".om") -> Path:
    """The file to write, with `suffix` added if missing; raises E10021, E10022 or E10001 for an impossible one."""
    if len(os.fsencode(value)) >= _PATH_LIMIT:
        raise AtcError("E10021", parameter=name, size=_PATH_LIMIT)
    if value.endswith("/") or Path(value).is_dir():
        raise AtcError("E10022", filename=value, parameter=name)
    # Letters, digits, - _ . and the CJK ideographs; atc.md §3.2.
    if re.fullmatch(r"[A-Za-z0-9_./\u4e00-\u9fff-]+", value) is None:
        raise AtcError(
            "E10001", value=value, parameter=f"--{name}", reason="the path has other characters than A-Za-z0-9_-."
        )
    path = Path(value if value.endswith(suffix) else value + suffix)
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise AtcError("E10001", value=value, parameter=f"--{name}", reason="the folder is missing or not writable")
    return path


def _check_framework(options: Mapping[str, str]) -> None:
    framework = options.get("framework", "")
    if framework not in FRAMEWORKS:
        support = ", ".join(f"{number} ({name})" for number, name in FRAMEWORKS.items())
        raise AtcError("E10007", parameter="framework", support=support)
    if framework == "0" and not options.get("weight"):
        raise AtcError("E10008")
    layout = options.get("input_format", FORMATS[framework][0])
    if layout not in FORMATS[framework]:
        reason = f"{FRAMEWORKS[framework]} has {', '.join(FORMATS[framework])}"
        raise AtcError("E10001", value=layout, parameter="--input_format", reason=reason)
    if framework in ("0", "3"):
        raise AtcError("E10055", reason=f"this stand-in does not read {FRAMEWORKS[framework]} models")


def _check_precision(options: Mapping[str, str], soc: str) -> None:
    given = {name: options[name] for name in ("precision_mode", "precision_mode_v2") if options.get(name)}
    if len(given) == 2:
        raise AtcError("E10056", parameter1="--precision_mode", parameter2="--precision_mode_v2")
    for name, value in given.items():
        known = PRECISION_MODES if name == "precision_mode" else PRECISION_MODES_V2
        if value not in known:
            raise AtcError("E10001", value=value, parameter=f"--{name}", reason=f"it is one of {', '.join(known)}")
        if "bf" in value and soc not in BFLOAT16_SOCS:
            raise AtcError("E10001", value=value, parameter=f"--{name}", reason=f"{soc} has no bfloat16")
        if "bf" in value:
            raise AtcError("E10055", reason="this stand-in does not compute in bfloat16")


def _check_pairs(options: Mapping[str, str]) -> None:
    if options.get("optypelist_for_implmode") and not options.get("op_select_implmode"):
        raise AtcError("E10057", parameter0="optypelist_for_implmode", parameter1="op_select_implmode")
    if options.get("op_precision_mode") and options.get("op_select_implmode"):
        raise AtcError("E10047", parameter0="op_precision_mode", parameter1="op_select_implmode")


def _check_values(options: Mapping[str, str]) -> None:
    for name in _SWITCHES:
        if options.get(name, "0") not in ("0", "1"):
            raise AtcError("E10006", value=options[name], parameter=name)
    for name, choices in _CHOICES.items():
        if options.get(name, choices[0]) not in choices:
            reason = f"it is one of {', '.join(choices)}"
            raise AtcError("E10001", value=options[name], parameter=f"--{name}", reason=reason)
    if options.get("op_debug_level", "0") not in ("0", "1", "2", "3", "4"):
        raise AtcError("E10013", value=options["op_debug_level"], parameter="op_debug_level")
    if not options.get("aicore_num", "1").isdigit():
        raise AtcError("E10014", value=options["aicore_num"], parameter="aicore_num")
    for name in _FILES:
        if options.get(name) and not Path(options[name]).is_file():
            raise AtcError("E10410", cfgpath=options[name])
