"""The options of Huawei's `atc` command (docs/reference/atc.md §3.2)."""

from collections.abc import Mapping

PRECISION_MODES = (
    "force_fp16", "force_fp32", "cube_fp16in_fp32out", "allow_fp32_to_fp16", "must_keep_origin_dtype",
    "allow_mix_precision", "allow_mix_precision_fp16", "allow_mix_precision_bf16",
)  # fmt: skip
PRECISION_MODES_V2 = ("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16")
IMPLEMENTATION_MODES = tuple(
    f"high_{aim}{scope}" for aim in ("precision", "performance") for scope in ("", "_for_all")
)  # fmt: skip
OPTIONS: Mapping[str, str] = {
    "mode": "0 model to .om (default); 1 .om or model to JSON; 3 check only; 6 show an .om",
    "model": "the model file",
    "weight": "the weight file (Caffe)",
    "framework": "0 Caffe, 1 MindSpore (AIR), 3 TensorFlow, 5 ONNX",
    "output": "path and name of the result; .om is added",
    "soc_version": "the chip, such as Ascend310",
    "input_shape": '"name1:n,c,h,w;name2:n,c,h,w"',
    "input_shape_range": "ranges of shapes",
    "input_format": "layout of the inputs",
    "input_fp16_nodes": '"name1;name2": these inputs are float16',
    "output_type": 'FP32, FP16, …, or "node:index:TYPE" with --out_nodes',
    "out_nodes": '"node1:0;node2:1": these are the outputs',
    "insert_op_conf": "AIPP configuration file",
    "precision_mode": ", ".join(PRECISION_MODES),
    "precision_mode_v2": ", ".join(PRECISION_MODES_V2),
    "dynamic_batch_size": '"1,2,4,8"',
    "dynamic_image_size": '"height1,width1;height2,width2"',
    "dynamic_dims": '"a1,b1;a2,b2"',
    "op_select_implmode": ", ".join(IMPLEMENTATION_MODES),
    "optypelist_for_implmode": "operator types for --op_select_implmode",
    "op_precision_mode": "file with a precision for each operator",
    "log": "debug, info, warning, error, null (default)",
    "singleop": "single-operator description (not in this stand-in)",
    "om": "the .om (or model) to read in modes 1 and 6",
    "json": "the JSON to write in mode 1",
    "dump_mode": "1: shapes as well, in mode 1",
    "check_report": "where the report of a check goes",
    "op_name_map": "operator mapping (Caffe)",
    "enable_small_channel": "0 or 1",
    "disable_reuse_memory": "0 or 1",
    "fusion_switch_file": "which fusions are off",
    "buffer_optimize": "l1_optimize, l2_optimize, off_optimize",
    "keep_dtype": "file with operators that keep their type",
    "modify_mixlist": "file with changes of the mixed-precision lists",
    "op_compiler_cache_mode": "disable, enable, force",
    "op_compiler_cache_dir": "folder of compiled operators",
    "debug_dir": "folder of debugging files",
    "op_debug_level": "0 to 4",
    "deterministic": "0 or 1",
    "host_env_os": "linux",
    "host_env_cpu": "x86_64, aarch64",
    "virtual_type": "0 or 1",
    "external_weight": "0 or 1",
    "display_model_info": "0 or 1",
    "core_type": "AiCore, VectorCore",
    "aicore_num": "number of cores",
    "auto_tune_mode": "RL, GA (old)",
}  # fmt: skip
"""Option name to its help text."""
