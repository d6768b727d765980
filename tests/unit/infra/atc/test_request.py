"""Typed options become ATC's texts."""

from pathlib import Path
from typing import Any

import pytest

from infra.atc.options import OPTIONS
from infra.atc.request import AtcOptions
from infra.errors import UserError


def test_nothing_is_given_by_default() -> None:
    assert AtcOptions().texts() == {}


def test_each_option_has_its_text() -> None:
    options = AtcOptions(
        precision_mode="force_fp16", input_fp16_nodes=("a", "b"), out_nodes=("c:0", "d:1"), output_type="FP16",
        aipp=Path("aipp.cfg"), batch_gears=(1, 8), image_gears=((8, 8), (16, 24)), dims_gears=((1, 2, 3), (4, 5, 6)),
        log="info", deterministic=True, disable_reuse_memory=False, keep_dtype=Path("kept.cfg"), aicore_num=2,
        op_select_implmode="high_precision", optypelist_for_implmode=("Conv2D", "Pool"), debug_dir=Path("/srv/debug"),
        more={"auto_tune_mode": "RL", "op_name_map": ""},
    )  # fmt: skip
    assert options.texts() == {
        "precision_mode": "force_fp16",
        "input_fp16_nodes": "a;b",
        "out_nodes": "c:0;d:1",
        "output_type": "FP16",
        "insert_op_conf": "aipp.cfg",
        "dynamic_batch_size": "1,8",
        "dynamic_image_size": "8,8;16,24",
        "dynamic_dims": "1,2,3;4,5,6",
        "log": "info",
        "deterministic": "1",
        "keep_dtype": "kept.cfg",
        "aicore_num": "2",
        "op_select_implmode": "high_precision",
        "optypelist_for_implmode": "Conv2D,Pool",
        "debug_dir": "/srv/debug",
        "auto_tune_mode": "RL",
    }


def test_every_option_of_the_stand_in_can_be_given() -> None:
    """Those that follow from the request, and those of other modes and frameworks, have no attribute of their own."""
    attributes: dict[str, Any] = {
        **dict.fromkeys(("aipp", "keep_dtype", "modify_mixlist", "op_precision_mode", "fusion_switch_file"), Path("f")),
        "op_compiler_cache_dir": Path("c"), "debug_dir": Path("d"),
        "batch_gears": (1, 2), "image_gears": ((1, 2), (3, 4)), "dims_gears": ((1,), (2,)),
        "input_fp16_nodes": ("a",), "out_nodes": ("b:0",), "optypelist_for_implmode": ("C",),
        "op_debug_level": 1, "aicore_num": 1,
        **dict.fromkeys(("disable_reuse_memory", "enable_small_channel", "virtual_type", "deterministic"), True),
        "display_model_info": True,
        **dict.fromkeys((
            "precision_mode", "precision_mode_v2", "input_format", "output_type", "op_select_implmode",
            "buffer_optimize", "op_compiler_cache_mode", "host_env_os", "host_env_cpu", "core_type", "log",
        ), "x"),
    }  # fmt: skip
    typed = set(AtcOptions(**attributes).texts())
    assert typed <= set(OPTIONS)
    rare = dict.fromkeys(set(OPTIONS) - typed, "x")
    assert set(AtcOptions(more=rare).texts()) == set(rare)


def test_folders_are_absolute_since_atc_runs_elsewhere() -> None:
    assert AtcOptions(debug_dir=Path("here")).texts()["debug_dir"] == str(Path("here").absolute())


def test_an_option_is_given_once() -> None:
    with pytest.raises(UserError, match="log"):
        AtcOptions(log="debug", more={"log": "info"}).texts()
