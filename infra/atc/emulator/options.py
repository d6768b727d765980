"""The checks of ATC's options against each other and the machine (docs/reference/atc.md §3.2).

The checks run in ATC's order (docs/reference/atc.md §3.4, "Check order").
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.atc.codes import AtcError
from infra.atc.emulator.values import check_values, is_file
from infra.atc.generations import CHIPS, Generation, chips_of
from infra.atc.options import PRECISION_MODES, PRECISION_MODES_V2

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
_PATH_LIMIT, _NAME_LIMIT = 4096, 255


def check_compile(
    options: Mapping[str, str], cann: Generation, warn: Callable[[str], None], *, writes: bool = True
) -> None:
    """Check the options of modes 0 and 3, in ATC's order.

    Args:
        options: name to value.
        cann: the generation that the stand-in plays.
        warn: is told of options that have no effect here.
        writes: False for mode 3, which has no output.

    Raises:
        AtcError: the first problem.
    """
    soc = options.get("soc_version", "")
    needed = ("soc_version", "output", "model") if writes else ("model",)
    for name in needed:
        if not options.get(name):
            raise AtcError("E10054", parameter=name)
    if soc:
        check_chip(soc, cann)
    check_readable("model", options["model"])
    if writes:
        output_path(options["output"])
    _check_framework(options)
    _check_precision(options, soc)
    _check_pairs(options)
    check_values(options, warn)
    if sum(bool(options.get(name)) for name in DYNAMIC) > 1:
        raise AtcError("E10009")
    if options.get("insert_op_conf") and options.get("dynamic_dims"):
        raise AtcError("E10047", parameter0="insert_op_conf", parameter1="dynamic_dims")


def check_chip(soc: str, cann: Generation) -> None:
    """Raise E10001 for a chip that the generation does not know."""
    chips = chips_of(cann.name)
    if soc not in chips:
        reason = f"CANN {cann.name} knows {', '.join(chips)}"
        raise AtcError("E10001", value=soc, parameter="--soc_version", reason=reason)


def check_readable(name: str, value: str) -> None:
    """Raise E10021 or E10001 unless the value of `--name` is a readable file."""
    if len(os.fsencode(value)) >= _PATH_LIMIT:
        raise AtcError("E10021", parameter=name, size=_PATH_LIMIT)
    if not is_file(value):
        raise AtcError("E10001", value=value, parameter=f"--{name}", reason="there is no such file")
    if not os.access(value, os.R_OK):
        raise AtcError("E10001", value=value, parameter=f"--{name}", reason="the file cannot be read")


def output_path(value: str, name: str = "output", suffix: str = ".om") -> Path:
    """The file to write, with `suffix` added if missing; raises E10021, E10022 or E10001 for an impossible one."""
    if len(os.fsencode(value)) >= _PATH_LIMIT:
        raise AtcError("E10021", parameter=name, size=_PATH_LIMIT)
    if value.endswith("/"):
        raise AtcError("E10022", filename=value, parameter=name)
    # Letters, digits, - _ . and the CJK ideographs; atc.md §3.2.
    if re.fullmatch(r"[A-Za-z0-9_./\u4e00-\u9fff-]+", value) is None:
        raise AtcError(
            "E10001", value=value, parameter=f"--{name}", reason="the path has other characters than A-Za-z0-9_-."
        )
    if Path(value).is_dir():
        raise AtcError("E10022", filename=value, parameter=name)
    path = Path(value if value.endswith(suffix) else value + suffix)
    if len(path.name.encode()) > _NAME_LIMIT:
        raise AtcError("E10001", value=value, parameter=f"--{name}", reason="the file's name is too long")
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
        if "bf" in value and not (soc in CHIPS and CHIPS[soc].bfloat16):
            raise AtcError("E10001", value=value, parameter=f"--{name}", reason=f"{soc} has no bfloat16")
        if "bf" in value:
            raise AtcError("E10055", reason="this stand-in does not compute in bfloat16")
    if options.get("modify_mixlist") and not any("mix" in value for value in given.values()):
        reason = "it needs --precision_mode=allow_mix_precision(_fp16, _bf16) or --precision_mode_v2=mixed_float16"
        raise AtcError("E10001", value=options["modify_mixlist"], parameter="--modify_mixlist", reason=reason)


def _check_pairs(options: Mapping[str, str]) -> None:
    if options.get("optypelist_for_implmode") and not options.get("op_select_implmode"):
        raise AtcError("E10057", parameter0="optypelist_for_implmode", parameter1="op_select_implmode")
    if options.get("op_precision_mode") and options.get("op_select_implmode"):
        raise AtcError("E10047", parameter0="op_precision_mode", parameter1="op_select_implmode")
