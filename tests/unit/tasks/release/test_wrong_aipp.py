"""The same mistakes with AIPP, where the `.om` normalises; and logits that half precision cannot hold."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import preprocess
from tasks.engine.gates import parity_gate
from tasks.release.ledger import Ledger
from tasks.stages import convert
from tests.unit.tasks.doubles import read
from tests.unit.tasks.linear import (
    CORNER,
    IMAGENET,
    Machine,
    code,
    decision_of,
    evaluation_rows,
    fitted_weights,
    network,
    work_for,
)

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def evaluation() -> Any:
    return evaluation_rows()


@pytest.fixture(scope="module")
def fitted() -> Any:
    return fitted_weights()


def swapped(text: Any) -> Any:
    return text.replace("rbuv_swap_switch : false", "rbuv_swap_switch : true")


def imagenet(text: Any) -> Any:
    for index, value in enumerate(IMAGENET):
        text = re.sub(rf"min_chn_{index} : \S+", f"min_chn_{index} : {255 * value}", text)
    return text


def unscaled(text: Any) -> Any:
    for index, value in enumerate(preprocess.CIFAR10.std):
        text = re.sub(rf"var_reci_chn_{index} : \S+", f"var_reci_chn_{index} : {1 / value}", text)
    return text


def planes_instead_of_pixels(folder: Any) -> None:
    """The bytes of NCHW where NHWC is taken: the sizes are equal, so nothing else can notice."""
    path = folder / "agent" / "release.py"
    path.write_text(path.read_text().replace(
        "            tensor = self.input.resize(images)\n",
        "            tensor = self.input.resize(images)\n"
        "            tensor = np.ascontiguousarray(tensor.transpose(0, 3, 1, 2)).reshape(tensor.shape)\n",
    ))  # fmt: skip


AIPP_MISTAKES: dict[str, dict[str, Any]] = {
    "BGR instead of RGB": {"text": swapped},
    "ImageNet's mean": {"text": imagenet},
    "no division by 255": {"text": unscaled},
    "resized without scaling": {"spoil": code(CORNER)},
    "NCHW fed as NHWC": {"spoil": planes_instead_of_pixels},
}


def test_with_aipp_the_road_passes_too(tmp_path: Path, evaluation: Any, fitted: Any) -> None:
    context = work_for(tmp_path, evaluation, network(*fitted), Machine(), **{"convert.aipp": "true"})
    assert decision_of(context).ok


@pytest.mark.parametrize("mistake", AIPP_MISTAKES)
def test_a_mistake_in_aipp_is_stopped(tmp_path: Path, evaluation: Any, fitted: Any, mistake: Any) -> None:
    world = Machine(**AIPP_MISTAKES[mistake])
    context = work_for(tmp_path, evaluation, network(*fitted), world, **{"convert.aipp": "true"})
    decision = decision_of(context)
    assert not decision.ok
    assert decision.reason.startswith("onnx → Ascend310 force_fp16: agreement 0.")


def test_logits_beyond_half_precision_are_stopped_and_the_next_precision_is_taken(
    tmp_path: Path, evaluation: Any, fitted: Any
) -> None:
    model = network(*(values * np.float32(30_000) for values in fitted))
    alone = decision_of(work_for(tmp_path / "alone", evaluation, model, Machine()))
    assert not alone.ok
    assert re.search(r"\d+ of 300 images have NaN or infinite logits", alone.reason)
    precisions = {"convert.precisions": '["force_fp16", "must_keep_origin_dtype"]'}
    context = work_for(tmp_path / "two", evaluation, model, Machine(), **precisions)
    made = convert.run(context)
    found = read(made.outputs["ledger"])
    assert found["chosen"] == {"Ascend310": "must_keep_origin_dtype"}
    assert parity_gate(Ledger.from_json(found)).ok
    failed = next(hop for hop in found["hops"] if hop["precision"] == "force_fp16")
    assert failed["whole"]["not_finite"] > 0
    assert failed["whole"]["max_difference"] is None
