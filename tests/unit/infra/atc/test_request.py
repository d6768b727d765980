"""Typed options become ATC's texts."""

from pathlib import Path

import pytest

from infra.atc.request import AtcOptions
from infra.errors import UserError


def test_nothing_is_given_by_default():
    assert AtcOptions().texts() == {}


def test_each_option_has_its_text():
    options = AtcOptions(
        precision_mode="force_fp16", input_fp16_nodes=("a", "b"), out_nodes=("c:0", "d:1"), output_type="FP16",
        aipp=Path("aipp.cfg"), batch_gears=(1, 8), image_gears=((8, 8), (16, 24)), dims_gears=((1, 2, 3), (4, 5, 6)),
        log="info", more={"deterministic": "1"},
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
    }


def test_an_option_is_given_once():
    with pytest.raises(UserError, match="log"):
        AtcOptions(more={"log": "info"}).texts()
