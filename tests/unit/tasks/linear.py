"""A network whose answers mean something, cheap enough to make on the spot, and a world that can be spoilt.

It is a linear classifier of colours and places, fitted to real images; it sees 64 pixels, so that images of 32 must be
resized.
"""

import functools
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infra.atc.factory import stand_in
from infra.atc.lint import check
from infra.atc.lint.findings import Finding
from infra.board.local_execution import run_agent
from infra.ports.compilation import Compiler, CompileRequest
from infra.ports.values import OnLine, Producer
from infra.settings import load
from models import parity, preprocess
from tasks.engine.gates import Decision, parity_gate
from tasks.engine.stage import StageContext
from tasks.release.ledger import Ledger
from tasks.stages import convert
from tests.cifar10 import CLASSES
from tests.unit.infra.atc.emulator.networks import model_of
from tests.unit.tasks.doubles import Inputs, RememberingContext, read, work_of

SIZE, COUNT, CELLS = 64, 300, 8
IMAGENET = (0.485, 0.456, 0.406)
SETTINGS = {"train.image_size": str(SIZE)}
# What some program does instead of resizing: the picture in a corner of a black square.
CORNER = """

def resize(images, size, interpolation="bilinear"):
    canvas = np.zeros((len(images), size, size, 3), np.uint8)
    canvas[:, : images.shape[1], : images.shape[2]] = images
    return canvas
"""
Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]
SAMPLE = Path(__file__).parents[3] / "data" / "cifar10-sample.tar.gz"


def records(name: str) -> Pixels:
    with tarfile.open(SAMPLE) as archive:
        member = next(member for member in archive.getmembers() if member.name.endswith(name))
        file = archive.extractfile(member)
        assert file is not None
        return np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)


def pixels_of(rows: Pixels) -> Pixels:
    return np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def tensors(images: Pixels) -> Planes:
    return preprocess.normalise(preprocess.resize(images, SIZE))


def cells(planes: Planes) -> Planes:
    """Mean of each of 8x8 cells of each colour: [n, 192]."""
    step = SIZE // CELLS
    found: Planes = planes.reshape(len(planes), 3, CELLS, step, CELLS, step).mean((3, 5)).reshape(len(planes), -1)
    return found


def network(matrix: Planes, bias: Planes) -> bytes:
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
    content: bytes = model_of(nodes, ends[:1], ends[1:], weights).SerializeToString()
    return content


@functools.cache
def evaluation_rows() -> Pixels:
    """The records of some evaluation images."""
    return records("test_batch.bin")[:COUNT]


@functools.cache
def fitted_weights() -> tuple[Planes, Planes]:
    """Ridge regression from the cells to the classes."""
    rows = records("data_batch_1.bin")
    features = cells(tensors(pixels_of(rows))).astype(np.float64)
    features = np.column_stack([features, np.ones(len(features))])
    wanted = np.eye(10)[rows[:, 0]] * 10 - 1
    solved = np.linalg.solve(features.T @ features + 30 * np.eye(features.shape[1]), features.T @ wanted)
    return solved[:-1].astype(np.float32), solved[-1].astype(np.float32)


def logits_of(model: bytes, planes: Planes) -> Planes:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits: Planes = session.run(None, {"image": planes})[0]
    return logits


def compiled(folder: Path, model: bytes, *, aipp: str | None = None) -> Path:
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

    def __init__(
        self,
        spoil: Callable[[Path], None] = lambda folder: None,
        om: Path | None = None,
        text: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.spoil, self.om, self.text = spoil, om, text

    def compiler(self) -> Compiler:
        return self

    def producer(self) -> Producer:
        return stand_in().producer()

    def lint(self, model: Path, socs: Sequence[str]) -> Mapping[str, Sequence[Finding]]:
        return check.examine(model, socs, load())

    def compile(self, request: CompileRequest, lines: OnLine) -> None:
        if self.om is not None:
            request.output.parent.mkdir(parents=True, exist_ok=True)
            request.output.write_bytes(self.om.read_bytes())
            return
        if "insert_op_conf" in request.options:
            spoilt = Path(request.options["insert_op_conf"]).with_name("spoilt.cfg")
            spoilt.write_text(self.text(Path(request.options["insert_op_conf"]).read_text()))
            request = replace(request, options={**request.options, "insert_op_conf": str(spoilt)})
        stand_in().compile(request, lines)

    def simulator(self) -> Self:
        return self

    def infer(self, folder: Path, soc_version: str, images: Path, logits: Path) -> Any:
        self.spoil(folder)
        return run_agent(folder, soc_version, ["infer", str(images), str(logits)])["milliseconds"]


def work_for(
    tmp_path: Path, rows: Pixels, model: bytes, world: Machine, exported: Any = None, **settings: str
) -> RememberingContext:
    expected = logits_of(model, tensors(pixels_of(rows)))
    exported = expected if exported is None else exported
    check = {"made": True, "bytes": len(model), **parity.compare(expected, exported, rows[:, 0], CLASSES)}
    files = {"predictions": io.BytesIO(), "logits": io.BytesIO()}
    np.savez(files["predictions"], logits=expected)
    np.save(files["logits"], exported)
    data = {
        "train/data_batch_1.bin": records("data_batch_1.bin")[:COUNT].tobytes(),
        "eval/test_batch.bin": rows.tobytes(),
        "batches.meta.txt": "\n".join(CLASSES).encode(),
    }
    inputs: Inputs = {
        "model": {"model.onnx": model},
        "checks": json.dumps({"onnx": check}).encode(),
        "logits": {"onnx.npy": files["logits"].getvalue()},
        "data": data,
        "predictions": files["predictions"].getvalue(),
    }
    return work_of(tmp_path, inputs, world=world, settings={**SETTINGS, **settings}, emulated=False)


def decision_of(work: StageContext) -> Decision:
    return parity_gate(Ledger.from_json(read(convert.run(work).outputs["ledger"])))


def contract(**changed: Any) -> Callable[[Path], None]:
    """Change the normalisation in a release's description."""

    def spoil(folder: Path) -> None:
        said = read(folder / "release.json")
        said["normalisation"].update(changed)
        (folder / "release.json").write_text(json.dumps(said))

    return spoil


def code(addition: str = "", **swapped: tuple[str, str]) -> Callable[[Path], None]:
    """Change the copy of `preprocess.py` that goes with a release."""

    def spoil(folder: Path) -> None:
        path = folder / "agent" / "preprocess.py"
        text = path.read_text()
        for old, new in swapped.values():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text + addition)

    return spoil
