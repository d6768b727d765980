"""Mistakes that published programs make (docs/reference/pitfalls.md §8.1 to §8.4), made on purpose at each hop.

The gate must stop each mistake, and let the same road pass without it.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.board.local_execution import run_agent
from infra.errors import GateFailed
from models import preprocess
from tasks.engine.gates import parity_gate
from tasks.release import agent_bundle, bundle
from tasks.release.ledger import Ledger
from tasks.stages import convert
from tests.cifar10 import CLASSES
from tests.unit.tasks.doubles import Inputs, read, work_of
from tests.unit.tasks.doubles import ledger as ledger_of
from tests.unit.tasks.linear import (
    CORNER,
    COUNT,
    IMAGENET,
    SETTINGS,
    SIZE,
    Machine,
    code,
    compiled,
    contract,
    decision_of,
    evaluation_rows,
    fitted_weights,
    logits_of,
    network,
    pixels_of,
    work_for,
)

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def evaluation() -> Any:
    return evaluation_rows()


@pytest.fixture(scope="module")
def fitted() -> Any:
    return fitted_weights()


@pytest.fixture(scope="module")
def om(tmp_path_factory: pytest.TempPathFactory, fitted: Any) -> Any:
    return compiled(tmp_path_factory.mktemp("om"), network(*fitted))


NHWC = """

_planes = normalise


def normalise(images, normalisation=CIFAR10):
    tensor = _planes(images, normalisation)
    return np.ascontiguousarray(tensor.transpose(0, 2, 3, 1)).reshape(tensor.shape)
"""
MISTAKES = {
    "BGR instead of RGB": contract(order="BGR"),
    "ImageNet's mean": contract(mean=IMAGENET),
    "no division by 255": code(scale=("dtype=np.float64) / 255.0", "dtype=np.float64)")),
    "resized without scaling": code(CORNER),
    "NHWC fed as NCHW": code(NHWC),
}
each_mistake = pytest.mark.parametrize("mistake", MISTAKES)


def test_without_a_mistake_the_road_passes(tmp_path: Path, evaluation: Any, fitted: Any, om: Any) -> None:
    context = work_for(tmp_path, evaluation, network(*fitted), Machine(om=om))
    made = convert.run(context)
    found = read(made.outputs["ledger"])
    assert parity_gate(Ledger.from_json(found)).ok
    onnx, model = found["hops"]
    assert onnx["whole"]["accuracy"] > 0.25, "the network has learnt something"
    assert model["whole"]["images"] == COUNT
    assert model["whole"]["cosine"] > 0.9999
    assert 0 < model["whole"]["max_difference"] < 0.05, "half precision is felt"


@each_mistake
def test_a_compiled_model_that_is_fed_wrong_is_stopped(
    tmp_path: Path, evaluation: Any, fitted: Any, om: Any, mistake: Any
) -> None:
    context = work_for(tmp_path, evaluation, network(*fitted), Machine(MISTAKES[mistake], om))
    decision = decision_of(context)
    assert not decision.ok
    assert re.match(r"onnx → Ascend310 force_fp16: agreement 0\.\d+ is below 0\.9800", decision.reason)
    assert re.search(rf"worst is ({'|'.join(CLASSES)}) ", decision.reason)


def wrong_planes(mistake: Any, images: Any) -> Any:
    """What a program would compute that makes the mistake itself, written apart from the files that are spoilt."""
    right = preprocess.resize(images, SIZE).astype(np.float64)
    mean, std = np.array(preprocess.CIFAR10.mean), np.array(preprocess.CIFAR10.std)
    scale = 255.0
    if mistake == "BGR instead of RGB":
        right = right[..., ::-1]
    if mistake == "ImageNet's mean":
        mean = np.array(IMAGENET)
    if mistake == "no division by 255":
        scale = 1.0
    if mistake == "resized without scaling":
        right = np.zeros_like(right)
        right[:, :32, :32] = images
    planes = ((right / scale - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    return right_order(planes, swapped=mistake == "NHWC fed as NCHW")


def right_order(planes: Any, *, swapped: Any) -> Any:
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).reshape(planes.shape) if swapped else planes


@each_mistake
def test_an_export_that_computes_wrong_is_stopped_at_its_own_hop(
    tmp_path: Path, evaluation: Any, fitted: Any, om: Any, mistake: Any
) -> None:
    model = network(*fitted)
    wrong = logits_of(model, wrong_planes(mistake, pixels_of(evaluation)))
    context = work_for(tmp_path, evaluation, model, Machine(om=om), exported=wrong)
    decision = decision_of(context)
    assert not decision.ok
    assert decision.reason.startswith("checkpoint → onnx: agreement 0.")


@each_mistake
def test_the_program_makes_the_very_mistake_that_the_formula_describes(
    tmp_path: Path, evaluation: Any, fitted: Any, om: Any, mistake: Any
) -> None:
    """So the tests above spoil what they say they spoil."""
    seen = {}

    class Watching(Machine):
        def simulator(self) -> Any:
            return self

        def infer(self, folder: Any, soc_version: Any, images: Any, logits: Any) -> Any:
            milliseconds = super().infer(folder, soc_version, images, logits)
            seen["logits"] = np.load(logits)
            return milliseconds

    few = evaluation[:20]
    model = network(*fitted)
    convert.run(work_for(tmp_path, few, model, Watching(MISTAKES[mistake], om)))
    expected = logits_of(model, wrong_planes(mistake, pixels_of(few)))
    assert np.abs(seen["logits"] - expected).max() < 0.01 * np.abs(expected).max()


@pytest.fixture
def board(tmp_path: Path, evaluation: Any, fitted: Any, om: Any) -> Any:
    """A release as a board has it, whose smoke test passes."""
    context = work_for(tmp_path / "given", evaluation, network(*fitted), Machine())
    files = {name: path.read_bytes() for name, path in agent_bundle.own_files().items()}
    more: Inputs = {
        "om": {"Ascend310/model.om": om.read_bytes()},
        "ledger": json.dumps(ledger_of(whole=None)).encode(),
        "agent": {name: data for name, data in files.items() if f"{name}" not in {"preprocess.py", "parity.py"}},
        "preprocess": files["preprocess.py"],
        "parity": files["parity.py"],
    }
    other = work_of(tmp_path / "more", more, settings=SETTINGS, emulated=True)
    whole = replace(other, inputs={**context.inputs, **other.inputs}, files={**context.files, **other.files})
    folder = bundle.build(whole) / "Ascend310"
    assert run_agent(folder, "Ascend310", ["smoke"])["agreement"] == 1.0
    return folder


@each_mistake
def test_a_board_that_computes_wrong_fails_its_smoke_test(board: Any, mistake: Any) -> None:
    MISTAKES[mistake](board)
    with pytest.raises(GateFailed, match=r"smoke test failed: logits differ .* worst is"):
        run_agent(board, "Ascend310", ["smoke"])
