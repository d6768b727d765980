"""A network whose answers mean something, cheap enough to make on the spot, and a world that can be spoilt.

It is a linear classifier of colours and places, fitted to real images; it sees 64 pixels, so that images of 32 must be
resized.
"""

import functools
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from infra.atc.factory import stand_in
from infra.board.local_execution import run_agent
from infra.ports.compilation import CompileRequest
from models import parity, preprocess
from tasks.engine.gates import parity_gate
from tasks.release.ledger import Ledger
from tasks.stages import convert
from tests.unit.infra.atc.emulator.networks import model_of
from tests.unit.tasks.doubles import read, work_of

SIZE, COUNT, CELLS = 64, 300, 8
IMAGENET = (0.485, 0.456, 0.406)
SETTINGS = {"train.image_size": str(SIZE)}
# What some program does instead of resizing: the picture in a corner of a black square.
CORNER = """

def resize(images, size):
    canvas = np.zeros((len(images), size, size, 3), np.uint8)
    canvas[:, : images.shape[1], : images.shape[2]] = images
    return canvas
"""
SAMPLE = Path(__file__).parents[3] / "data" / "cifar10-sample.tar.gz"


def records(name: Any) -> Any:
    with tarfile.open(SAMPLE) as archive:
        member = next(member for member in archive.getmembers() if member.name.endswith(name))
        return np.frombuffer(archive.extractfile(member).read(), np.uint8).reshape(-1, 3073)


def pixels_of(rows: Any) -> Any:
    return np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def tensors(images: Any) -> Any:
    return preprocess.normalise(preprocess.resize(images, SIZE))


def cells(planes: Any) -> Any:
    """Mean of each of 8x8 cells of each colour: [n, 192]."""
    step = SIZE // CELLS
    return planes.reshape(len(planes), 3, CELLS, step, CELLS, step).mean((3, 5)).reshape(len(planes), -1)


def network(matrix: Any, bias: Any) -> Any:
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


@functools.cache
def evaluation_rows() -> Any:
    """The records of some evaluation images."""
    return records("test_batch.bin")[:COUNT]


@functools.cache
def fitted_weights() -> Any:
    """Ridge regression from the cells to the classes."""
    rows = records("data_batch_1.bin")
    features = cells(tensors(pixels_of(rows))).astype(np.float64)
    features = np.column_stack([features, np.ones(len(features))])
    wanted = np.eye(10)[rows[:, 0]] * 10 - 1
    solved = np.linalg.solve(features.T @ features + 30 * np.eye(features.shape[1]), features.T @ wanted)
    return solved[:-1].astype(np.float32), solved[-1].astype(np.float32)


def logits_of(model: Any, planes: Any) -> Any:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": planes})[0]


def compiled(folder: Any, model: Any, *, aipp: Any = None) -> Any:
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


class Machine:
    """A world whose trials are spoilt by `spoil(folder)`, and whose compiler changes AIPP's text or gives `om`."""

    def __init__(self, spoil: Any = lambda folder: None, om: Any = None, text: Any = lambda text: text) -> None:
        self.spoil, self.om, self.text = spoil, om, text

    def compiler(self) -> Any:
        return self

    def producer(self) -> Any:
        return stand_in().producer()

    def compile(self, request: pytest.FixtureRequest, lines: Any) -> None:
        if self.om is not None:
            request.output.parent.mkdir(parents=True, exist_ok=True)
            request.output.write_bytes(self.om.read_bytes())
            return
        if "insert_op_conf" in request.options:
            spoilt = Path(request.options["insert_op_conf"]).with_name("spoilt.cfg")
            spoilt.write_text(self.text(Path(request.options["insert_op_conf"]).read_text()))
            request = replace(request, options={**request.options, "insert_op_conf": str(spoilt)})
        stand_in().compile(request, lines)

    def simulator(self) -> Any:
        return self

    def infer(self, folder: Any, soc_version: Any, images: Any, logits: Any) -> Any:
        self.spoil(folder)
        return run_agent(folder, soc_version, ["infer", str(images), str(logits)])["milliseconds"]


def work_for(tmp_path: Path, rows: Any, model: Any, world: Any, exported: Any = None, **settings: Any) -> Any:
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


def decision_of(work: Any) -> Any:
    return parity_gate(Ledger.from_json(read(convert.run(work).outputs["ledger"])))


def contract(**changed: Any) -> Any:
    """Change the normalisation in a release's description."""

    def spoil(folder: Any) -> None:
        said = read(folder / "release.json")
        said["normalisation"].update(changed)
        (folder / "release.json").write_text(json.dumps(said))

    return spoil


def code(addition: str = "", **swapped: Any) -> Any:
    """Change the copy of `preprocess.py` that goes with a release."""

    def spoil(folder: Any) -> None:
        path = folder / "agent" / "preprocess.py"
        text = path.read_text()
        for old, new in swapped.values():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text + addition)

    return spoil
