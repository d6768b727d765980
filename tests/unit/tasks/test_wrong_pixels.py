"""Mistakes that published programs make (ascend-domain.md §8, pitfalls 1 to 4), made on purpose at each hop.

The network is a linear classifier of colours and places that was fitted to real images, so that its answers mean
something; it sees 64 pixels, so that images of 32 must be resized. The gate must stop each mistake, and let the same
road pass without it.
"""

import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from infra.atc.client import stand_in
from infra.board.here import run_agent
from infra.errors import GateFailed
from infra.ports import CompileRequest
from models import parity, preprocess
from tasks import convert, program, release
from tasks.gates import parity_gate
from tests.unit.infra.atc.networks import model_of
from tests.unit.tasks.doubles import ledger as ledger_of
from tests.unit.tasks.doubles import read, work_of

SIZE, COUNT, CELLS = 64, 300, 8
IMAGENET = (0.485, 0.456, 0.406)
SETTINGS = {"train.image_size": str(SIZE)}
SAMPLE = Path(__file__).parents[3] / "data" / "cifar10-sample.tar.gz"


def records(name):
    with tarfile.open(SAMPLE) as archive:
        member = next(member for member in archive.getmembers() if member.name.endswith(name))
        return np.frombuffer(archive.extractfile(member).read(), np.uint8).reshape(-1, 3073)


def pixels_of(rows):
    return np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def tensors(images):
    return preprocess.normalise(preprocess.resize(images, SIZE))


def cells(planes):
    """Mean of each of 8x8 cells of each colour: [n, 192]."""
    step = SIZE // CELLS
    return planes.reshape(len(planes), 3, CELLS, step, CELLS, step).mean((3, 5)).reshape(len(planes), -1)


def network(matrix, bias):
    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], name="pool", kernel_shape=[SIZE // CELLS] * 2,
                         strides=[SIZE // CELLS] * 2),
        helper.make_node("Flatten", ["cells"], ["flat"], name="flatten", axis=1),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["logits"], name="dense"),
    ]  # fmt: skip
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10]),
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in (("matrix", matrix), ("bias", bias))]
    return model_of(nodes, ends[:1], ends[1:], weights).SerializeToString()


@pytest.fixture(scope="module")
def evaluation():
    return records("test_batch.bin")[:COUNT]


@pytest.fixture(scope="module")
def fitted():
    """Ridge regression from the cells to the classes."""
    rows = records("data_batch_1.bin")
    features = cells(tensors(pixels_of(rows))).astype(np.float64)
    features = np.column_stack([features, np.ones(len(features))])
    wanted = np.eye(10)[rows[:, 0]] * 10 - 1
    solved = np.linalg.solve(features.T @ features + 30 * np.eye(features.shape[1]), features.T @ wanted)
    return solved[:-1].astype(np.float32), solved[-1].astype(np.float32)


def logits_of(model, planes):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": planes})[0]


def compiled(folder, model, *, aipp=None):
    """The `.om` of the stand-in for one image."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    options = {}
    if aipp is not None:
        (folder / "aipp.cfg").write_text(aipp)
        options = {"insert_op_conf": str(folder / "aipp.cfg")}
    request = CompileRequest(
        folder / "model.onnx", folder / "model.om", "Ascend310", {"image": (1, 3, SIZE, SIZE)}, options
    )
    stand_in().compile(request, lambda _line: None)
    return request.output


@pytest.fixture(scope="module")
def om(tmp_path_factory, fitted):
    return compiled(tmp_path_factory.mktemp("om"), network(*fitted))


class Machine:
    """A world whose trials are spoilt by `spoil(folder)`, and whose compiler changes AIPP's text or gives `om`."""

    def __init__(self, spoil=lambda folder: None, om=None, text=lambda text: text):
        self.spoil, self.om, self.text = spoil, om, text

    def compiler(self):
        return self

    def producer(self):
        return stand_in().producer()

    def compile(self, request, lines):
        if self.om is not None:
            request.output.parent.mkdir(parents=True, exist_ok=True)
            request.output.write_bytes(self.om.read_bytes())
            return
        if "insert_op_conf" in request.options:
            spoilt = Path(request.options["insert_op_conf"]).with_name("spoilt.cfg")
            spoilt.write_text(self.text(Path(request.options["insert_op_conf"]).read_text()))
            request = replace(request, options={**request.options, "insert_op_conf": str(spoilt)})
        stand_in().compile(request, lines)

    def infer(self, folder, soc_version, images, logits):
        self.spoil(folder)
        return run_agent(folder, soc_version, ["infer", str(images), str(logits)])["milliseconds"]


def work_for(tmp_path, rows, model, world, exported=None, **settings):
    expected = logits_of(model, tensors(pixels_of(rows)))
    exported = expected if exported is None else exported
    check = {"made": True, "bytes": len(model), **parity.compare(expected, exported, rows[:, 0], preprocess.CLASSES)}
    files = {"predictions": io.BytesIO(), "logits": io.BytesIO()}
    np.savez(files["predictions"], logits=expected)
    np.save(files["logits"], exported)
    data = {"eval/test_batch.bin": rows.tobytes(), "batches.meta.txt": "\n".join(preprocess.CLASSES).encode()}
    inputs = {
        "model": {"model.onnx": model},
        "checks": json.dumps({"onnx": check}).encode(),
        "logits": {"onnx.npy": files["logits"].getvalue()},
        "data": data,
        "predictions": files["predictions"].getvalue(),
    }
    return work_of(tmp_path, inputs, world=world, settings={**SETTINGS, **settings}, emulated=False)


def decision_of(work):
    return parity_gate(read(convert.run(work).outputs["ledger"]))


def contract(**changed):
    """Change the normalisation in a release's description."""

    def spoil(folder):
        said = read(folder / "release.json")
        said["normalisation"].update(changed)
        (folder / "release.json").write_text(json.dumps(said))

    return spoil


def code(addition="", **swapped):
    """Change the copy of `preprocess.py` that goes with a release."""

    def spoil(folder):
        path = folder / "agent" / "preprocess.py"
        text = path.read_text()
        for old, new in swapped.values():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text + addition)

    return spoil


CORNER = """

def resize(images, size):
    canvas = np.zeros((len(images), size, size, 3), np.uint8)
    canvas[:, : images.shape[1], : images.shape[2]] = images
    return canvas
"""
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


def test_without_a_mistake_the_road_passes(tmp_path, evaluation, fitted, om):
    work = work_for(tmp_path, evaluation, network(*fitted), Machine(om=om))
    made = convert.run(work)
    found = read(made.outputs["ledger"])
    assert parity_gate(found).ok
    onnx, model = found["hops"]
    assert onnx["whole"]["accuracy"] > 0.25, "the network has learnt something"
    assert model["whole"]["images"] == COUNT
    assert model["whole"]["cosine"] > 0.9999
    assert 0 < model["whole"]["max_difference"] < 0.05, "half precision is felt"


@each_mistake
def test_a_compiled_model_that_is_fed_wrong_is_stopped(tmp_path, evaluation, fitted, om, mistake):
    work = work_for(tmp_path, evaluation, network(*fitted), Machine(MISTAKES[mistake], om))
    decision = decision_of(work)
    assert not decision.ok
    assert re.match(r"onnx → Ascend310 force_fp16: agreement 0\.\d+ is below 0\.9800", decision.reason)
    assert re.search(rf"worst is ({'|'.join(preprocess.CLASSES)}) ", decision.reason)


def wrong_planes(mistake, images):
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


def right_order(planes, *, swapped):
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).reshape(planes.shape) if swapped else planes


@each_mistake
def test_an_export_that_computes_wrong_is_stopped_at_its_own_hop(tmp_path, evaluation, fitted, om, mistake):
    model = network(*fitted)
    wrong = logits_of(model, wrong_planes(mistake, pixels_of(evaluation)))
    work = work_for(tmp_path, evaluation, model, Machine(om=om), exported=wrong)
    decision = decision_of(work)
    assert not decision.ok
    assert decision.reason.startswith("checkpoint → onnx: agreement 0.")


@each_mistake
def test_the_program_makes_the_very_mistake_that_the_formula_describes(tmp_path, evaluation, fitted, om, mistake):
    """So the tests above spoil what they say they spoil."""
    seen = {}

    class Watching(Machine):
        def infer(self, folder, soc_version, images, logits):
            milliseconds = super().infer(folder, soc_version, images, logits)
            seen["logits"] = np.load(logits)
            return milliseconds

    few = evaluation[:20]
    model = network(*fitted)
    convert.run(work_for(tmp_path, few, model, Watching(MISTAKES[mistake], om)))
    expected = logits_of(model, wrong_planes(mistake, pixels_of(few)))
    assert np.abs(seen["logits"] - expected).max() < 0.01 * np.abs(expected).max()


@pytest.fixture
def board(tmp_path, evaluation, fitted, om):
    """A release as a board has it, whose smoke test passes."""
    work = work_for(tmp_path / "given", evaluation, network(*fitted), Machine())
    files = {name: path.read_bytes() for name, path in program.own_files().items()}
    more = {
        "om": {"Ascend310/model.om": om.read_bytes()},
        "ledger": json.dumps(ledger_of(whole=None)).encode(),
        "agent": {name: data for name, data in files.items() if f"{name}" not in {"preprocess.py", "parity.py"}},
        "preprocess": files["preprocess.py"],
        "parity": files["parity.py"],
    }
    other = work_of(tmp_path / "more", more, settings=SETTINGS, emulated=True)
    whole = replace(other, inputs={**work.inputs, **other.inputs}, files={**work.files, **other.files})
    folder = release.build(whole) / "Ascend310"
    assert run_agent(folder, "Ascend310", ["smoke"])["agreement"] == 1.0
    return folder


@each_mistake
def test_a_board_that_computes_wrong_fails_its_smoke_test(board, mistake):
    MISTAKES[mistake](board)
    with pytest.raises(GateFailed, match=r"smoke test failed: logits differ .* worst is"):
        run_agent(board, "Ascend310", ["smoke"])


def swapped(text):
    return text.replace("rbuv_swap_switch : false", "rbuv_swap_switch : true")


def imagenet(text):
    for index, value in enumerate(IMAGENET):
        text = re.sub(rf"min_chn_{index} : \S+", f"min_chn_{index} : {255 * value}", text)
    return text


def unscaled(text):
    for index, value in enumerate(preprocess.CIFAR10.std):
        text = re.sub(rf"var_reci_chn_{index} : \S+", f"var_reci_chn_{index} : {1 / value}", text)
    return text


def planes_instead_of_pixels(folder):
    """The bytes of NCHW where NHWC is taken: the sizes are equal, so nothing else can notice."""
    path = folder / "agent" / "release.py"
    path.write_text(path.read_text().replace(
        "            tensor = images\n",
        "            tensor = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(images.shape)\n",
    ))  # fmt: skip


AIPP_MISTAKES = {
    "BGR instead of RGB": {"text": swapped},
    "ImageNet's mean": {"text": imagenet},
    "no division by 255": {"text": unscaled},
    "resized without scaling": {"spoil": MISTAKES["resized without scaling"]},
    "NCHW fed as NHWC": {"spoil": planes_instead_of_pixels},
}


def test_with_aipp_the_road_passes_too(tmp_path, evaluation, fitted):
    work = work_for(tmp_path, evaluation, network(*fitted), Machine(), **{"convert.aipp": "true"})
    assert decision_of(work).ok


@pytest.mark.parametrize("mistake", AIPP_MISTAKES)
def test_a_mistake_in_aipp_is_stopped(tmp_path, evaluation, fitted, mistake):
    world = Machine(**AIPP_MISTAKES[mistake])
    work = work_for(tmp_path, evaluation, network(*fitted), world, **{"convert.aipp": "true"})
    decision = decision_of(work)
    assert not decision.ok
    assert decision.reason.startswith("onnx → Ascend310 force_fp16: agreement 0.")


def test_logits_beyond_half_precision_are_stopped_and_the_next_precision_is_taken(tmp_path, evaluation, fitted):
    model = network(*(values * np.float32(30_000) for values in fitted))
    alone = decision_of(work_for(tmp_path / "alone", evaluation, model, Machine()))
    assert not alone.ok
    assert re.search(r"\d+ of 300 images give logits that are not numbers", alone.reason)
    precisions = {"convert.precisions": '["force_fp16", "must_keep_origin_dtype"]'}
    work = work_for(tmp_path / "two", evaluation, model, Machine(), **precisions)
    made = convert.run(work)
    found = read(made.outputs["ledger"])
    assert found["chosen"] == {"Ascend310": "must_keep_origin_dtype"}
    assert parity_gate(found).ok
    failed = next(hop for hop in found["hops"] if hop["precision"] == "force_fp16")
    assert failed["whole"]["not_finite"] > 0
    assert failed["whole"]["max_difference"] is None
