"""Huawei's published Python samples run unchanged: their models come from the stand-in compiler, `acl` is the stand-in.

The samples are not part of the project: `ATLASFLOW_ASCEND_SAMPLES` names a folder with a copy of Ascend/samples
(docs/reference/pyacl.md §4.3 lists the files). Each sample is copied, since it writes beside itself, and given pictures
and a small network that was fitted to tell them apart; what it prints must be what ONNX Runtime says of the same
pictures.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from infra.air.writer import to_air
from infra.atc import aipp
from tests import boards

SAMPLES = os.environ.get("ATLASFLOW_ASCEND_SAMPLES", "")  # before a fixture takes our variables away
PLACE = Path("python", "level2_simple_inference", "1_classification")
FILTERS = np.random.default_rng(4).normal(0, 0.2, (8, 3, 5, 5)).astype(np.float32)
COLOURS = [
    (210, 40, 40), (40, 210, 40), (40, 40, 210), (210, 210, 40), (210, 40, 210), (40, 210, 210),
    (40, 40, 40), (210, 210, 210), (125, 40, 40), (125, 210, 125), (40, 125, 210), (210, 125, 40),
]  # fmt: skip

pytestmark = pytest.mark.skipif(not SAMPLES, reason="ATLASFLOW_ASCEND_SAMPLES names no copy of Ascend/samples")

Pixels = NDArray[Any]


def as_cifar(picture: Image.Image) -> Pixels:
    """What the MindSpore samples feed: BGR, with constants in the order of RGB (docs/reference/pitfalls.md §8.1)."""
    planes = np.asarray(picture.resize((224, 224)))[..., ::-1].astype(np.float32) * np.float32(0.003922)
    return ((planes - [0.4914, 0.4822, 0.4465]) / [0.2023, 0.1994, 0.2010]).transpose(2, 0, 1)


def as_caffe(picture: Image.Image) -> Pixels:
    """What the raw samples feed: the middle of a square, BGR less the mean of ImageNet."""
    pixels = np.asarray(picture.resize((256, 256)))[16:-16, 16:-16, ::-1]
    fed: Pixels = (pixels - np.array([104.0, 117.0, 123.0])).transpose(2, 0, 1)
    return fed


def as_grey(picture: Image.Image) -> Pixels:
    """What the MNIST sample feeds, by the library that it uses itself."""
    import cv2

    grey = cv2.cvtColor(np.asarray(picture)[..., ::-1], cv2.COLOR_BGR2GRAY)
    fed: Pixels = cv2.resize((grey / 255 - 0.1307) / 0.3081, (32, 32))[None]
    return fed


def as_tensorflow(size: tuple[int, int]) -> Callable[[Image.Image], Pixels]:
    """What the sample of dynamic sizes and AIPP feed: RGB without a tenth at each edge, less the mean."""

    def feed(picture: Image.Image) -> Pixels:
        height, width = picture.height, picture.width  # the sample takes one for the other
        inner = picture.crop((height // 10, width // 10, height - height // 10, width - width // 10)).resize(size)
        fed: Pixels = (np.asarray(inner) - np.array([123.0, 117.0, 104.0])).transpose(2, 0, 1)
        return fed

    return feed


def as_dvpp(picture: Image.Image) -> Pixels:
    """What DVPP and AIPP feed, but for the rounding of half-sized colour: BGR less the mean."""
    pixels = np.asarray(picture.resize((224, 224), Image.Resampling.BILINEAR))[..., ::-1]
    fed: Pixels = (pixels - np.array([104.0, 117.0, 123.0])).transpose(2, 0, 1)
    return fed


YUV = aipp.write(
    {
        "aipp_mode": "static", "input_format": "YUV420SP_U8", "csc_switch": True,
        "src_image_size_w": 224, "src_image_size_h": 224,
        # YUV of a JPEG to BGR; docs/reference/atc.md §3.5
        "matrix_r0c0": 256, "matrix_r0c1": 454, "matrix_r0c2": 0, "matrix_r1c0": 256, "matrix_r1c1": -88,
        "matrix_r1c2": -183, "matrix_r2c0": 256, "matrix_r2c1": 0, "matrix_r2c2": 359,
        "input_bias_0": 0, "input_bias_1": 128, "input_bias_2": 128,
        "mean_chn_0": 104, "mean_chn_1": 117, "mean_chn_2": 123,
    }
)  # fmt: skip
RGB = aipp.write(
    {"aipp_mode": "static", "input_format": "RGB888_U8", "mean_chn_0": 123, "mean_chn_1": 117, "mean_chn_2": 104}
)


@dataclass(frozen=True)
class Sample:
    """A published sample, and what its instructions say of its model.

    Attributes:
        folder: its name.
        feed: a picture → float [channels, height, width], as the network sees it.
        model: the `.om`'s name.
        atc: options, beside input, model and output.
        name: of the input.
        dims: of the input; None is dynamic.
        classes: that the network tells apart.
        softmax: whether the network ends with it; else the sample computes it.
        aipp: its configuration.
        pictures: how many it is given.
        arguments: of the program.
        tolerance: between its probabilities and those of ONNX Runtime.
    """

    folder: str
    feed: Callable[[Image.Image], Pixels]
    model: str
    atc: Mapping[str, str] = field(default_factory=dict)
    name: str = "data"
    dims: tuple[int | None, ...] = (1, 3, 224, 224)
    classes: int = 1000
    softmax: bool = True
    aipp: str = ""
    pictures: int = 3
    arguments: Sequence[str] = ()
    tolerance: float = 0.02


def of_mindspore(folder: str, model: str, **options: Any) -> Sample:
    """A sample whose model comes from MindSpore, through AIR."""
    return Sample(folder, model=model, atc={"framework": "1"}, classes=10, softmax=False, **options)


def of_size(height: int, width: int) -> Sample:
    """The sample of dynamic sizes, asked for one."""
    return Sample(
        "resnet50_imagenet_dynamic_hw",
        as_tensorflow((height, width)),
        "tf_resnet50.om",
        {"dynamic_image_size": "112,112;224,224;448,448"},
        name="Placeholder",
        dims=(1, 3, None, None),
        softmax=False,
        aipp=RGB,
        arguments=(f"--h={height}", f"--w={width}"),
    )


HALF = {"input_fp16_nodes": "data", "output_type": "FP32", "out_nodes": "prob:0"}
BATCHES = {"dynamic_batch_size": "1,2,4,8"}
CASES = [
    of_mindspore("resnet50_mindspore_picture", "resnet50.om", feed=as_cifar, arguments=["../data/"]),
    of_mindspore("googlenet_mindspore_picture", "googlenet.om", feed=as_cifar, arguments=["../data/"]),
    of_mindspore("lenet_mindspore_picture", "mnist.om", feed=as_grey, dims=(1, 1, 32, 32), arguments=["../data/"]),
    Sample("resnet50_imagenet_classification", as_caffe, "resnet50.om", HALF),
    Sample("resnet50_async_imagenet_classification", as_caffe, "resnet50.om", HALF),
    Sample(
        "resnet50_async_imagenet_classification", as_caffe, "resnet50.om", HALF, arguments=["--callback_interval=2"]
    ),
    of_size(112, 112),
    of_size(224, 224),
    of_size(448, 448),
    Sample(
        "googlenet_imagenet_dynamic_batch", as_dvpp, "googlenet_dynamic_batch.om", BATCHES,
        dims=(None, 3, 224, 224), aipp=YUV, pictures=2, arguments=["../data/"], tolerance=0.1,
    ),
    Sample(
        "googlenet_imagenet_multi_batch", as_dvpp, "googlenet_yuv.om",
        dims=(10, 3, 224, 224), aipp=YUV, pictures=12, arguments=["../data/"], tolerance=0.1,
    ),
]  # fmt: skip


def photograph(path: Path, number: int) -> None:
    """A JPEG of a colour of its own, with a gradient and noise.

    Its sides are what DVPP aligns to: older versions of acllite forget the strides of a decoded picture.
    """
    height, width = 256 + 16 * number, 512 - 128 * (number % 2)
    slope = np.linspace(-25, 25, width)[None, :, None]
    noise = np.random.default_rng(number).normal(0, 12, (height, width, 3))
    pixels = np.array(COLOURS[number]) + slope + noise
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=95, subsampling=0)


def features(sample: Sample) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """A convolution, and the mean of what it sees: [batch, 8]."""
    nodes = [
        helper.make_node("Conv", [sample.name, "filters"], ["seen"], name="conv", kernel_shape=[5, 5], strides=[3, 3]),
        helper.make_node("Relu", ["seen"], ["active"], name="relu"),
        helper.make_node("GlobalAveragePool", ["active"], ["mean"], name="pool"),
        helper.make_node("Flatten", ["mean"], ["features"], name="flatten", axis=1),
    ]
    channels = sample.dims[1]
    return nodes, [numpy_helper.from_array(FILTERS[:, :channels].copy(), "filters")]


def network(sample: Sample, nodes: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto]) -> onnx.ModelProto:
    """A model of those nodes, the last one's output being its own; its input's open dimensions stay open."""
    dims = [f"open{index}" if size is None else size for index, size in enumerate(sample.dims)]
    inputs = [helper.make_tensor_value_info(sample.name, TensorProto.FLOAT, dims)]
    width = 8 if nodes[-1].op_type == "Flatten" else sample.classes
    outputs = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [dims[0], width])]
    graph = helper.make_graph(list(nodes), "net", inputs, outputs, list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)


def infer(model: onnx.ModelProto, images: Sequence[Pixels], batch: int | None) -> NDArray[Any]:
    """What ONNX Runtime says, image by image; a fixed batch is filled by repeating."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    feeds = [np.repeat(image[None], batch or 1, axis=0).astype(np.float32) for image in images]
    return np.stack([session.run(None, {name: feed})[0][0] for feed in feeds])


def fitted(sample: Sample, images: Sequence[Pixels]) -> onnx.ModelProto:
    """A network that finds the nearest picture: picture k is of class 3k + 1, with a margin of at least 3 in logits."""
    nodes, weights = features(sample)
    found = infer(network(sample, nodes, weights), images, sample.dims[0])
    middle = found.mean(axis=0)
    distances = np.square(found[:, None] - found).sum(axis=2)
    scale = 6 / distances[distances > 0].min()
    matrix = np.zeros((sample.classes, 8), np.float32)
    bias = np.random.default_rng(9).uniform(-30, -20, sample.classes).astype(np.float32)
    for number, seen in enumerate(found):
        matrix[3 * number + 1] = scale * (seen - middle)
        bias[3 * number + 1] = scale * (middle @ middle - seen @ seen) / 2
    nodes.append(helper.make_node("Gemm", ["features", "matrix", "bias"], ["logits"], name="dense", transB=1))
    if sample.softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], name="prob", axis=1))
    weights += [numpy_helper.from_array(matrix, "matrix"), numpy_helper.from_array(bias, "bias")]
    return network(sample, nodes, weights)


def compile_model(sample: Sample, model: onnx.ModelProto, folder: Path) -> None:
    """Run the stand-in compiler as the sample's instructions run the real one."""
    folder.mkdir(exist_ok=True)
    options = {"framework": "5", "output": sample.model.removesuffix(".om"), "soc_version": "Ascend310", **sample.atc}
    if options["framework"] == "1":
        options["model"] = "net.air"
        (folder / "net.air").write_bytes(to_air(model))
    else:
        options["model"] = "net.onnx"
        options["input_shape"] = f"{sample.name}:" + ",".join(str(-1 if size is None else size) for size in sample.dims)
        onnx.save(model, folder / "net.onnx")
    if sample.aipp:
        options["insert_op_conf"] = "aipp.cfg"
        (folder / "aipp.cfg").write_text(sample.aipp)
    finished = subprocess.run(
        [sys.executable, "-m", "infra.atc.emulator.command", *(f"--{name}={value}" for name, value in options.items())],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(boards.CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stdout


def prepared(sample: Sample, place: Path) -> tuple[Path, list[str], NDArray[Any]]:
    """Copy the sample, give it pictures and a model.

    Returns:
        Its folder; its pictures' names in the order in which it lists them; the probabilities of each.
    """
    folder = place / PLACE / sample.folder
    shutil.copytree(Path(SAMPLES) / PLACE / sample.folder, folder)
    shutil.copytree(Path(SAMPLES) / "python" / "common", place / "python" / "common")
    shutil.rmtree(folder / "data", ignore_errors=True)
    (folder / "data").mkdir()
    for number in range(sample.pictures):
        photograph(folder / "data" / f"picture{number}.jpg", number)
    names = os.listdir(folder / "data")  # noqa: PTH208 - the samples' own order
    pictures = [Image.open(folder / "data" / name) for name in names]
    images = [sample.feed(picture) for picture in pictures]
    model = fitted(sample, images)
    scores = infer(model, images, sample.dims[0])
    if not sample.softmax:
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    assert scores.argmax(axis=1).tolist() == [3 * number + 1 for number in range(len(names))]
    compile_model(sample, model, folder / "model")
    return folder, names, scores


def run(folder: Path, mode: str, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a sample's program in its `src`, with the stand-in and the common folder on the path."""
    (script,) = {"acl_net.py", "classify.py"} & {path.name for path in (folder / "src").iterdir()}
    common = folder.parents[2] / "common"
    opencv = importlib.util.find_spec("cv2")
    path = [boards.ACL, common / "acllite", common]
    if opencv is not None and opencv.origin:
        path.append(Path(opencv.origin).parents[1])
    return subprocess.run(
        [sys.executable, script, *arguments],
        cwd=folder / "src",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "ATLASFLOW_ACL_RUN_MODE": mode,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def printed(text: str) -> list[dict[int, float]]:
    """The blocks of five that a sample prints: class → probability."""
    blocks = re.findall(r"top5 inference results: =+\n((?:(?:label:|\[)\d.*\n)+)", text)
    line = re.compile(r"(?:label:|\[)(\d+)(?:\]:|  confidence:) ([0-9.e+-]+)")
    return [{int(label): float(score) for label, score in line.findall(block)} for block in blocks]


def expected_order(sample: Sample, names: Sequence[str]) -> list[int]:
    """The pictures in the order in which the sample shows them."""
    if "async" in sample.folder:
        return [index % len(names) for index in range(4)]
    return list(range(len(names)))


@pytest.mark.parametrize("mode", ["device", "host"])
@pytest.mark.parametrize("sample", CASES, ids=lambda sample: f"{sample.folder} {' '.join(sample.arguments)}".strip())
def test_a_published_sample_finds_every_class(tmp_path: Path, sample: Sample, mode: str) -> None:
    if sample.feed is as_grey and importlib.util.find_spec("cv2") is None:
        pytest.skip("this sample needs OpenCV")
    folder, names, scores = prepared(sample, tmp_path)
    finished = run(folder, mode, sample.arguments)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    assert "Exception ignored" not in finished.stderr
    assert "[ERROR]" not in finished.stdout + finished.stderr
    shown = printed(finished.stdout)
    order = expected_order(sample, names)
    assert len(shown) == len(order)
    for five, index in zip(shown, order, strict=True):
        assert len(five) == 5
        best = max(five, key=five.__getitem__)
        assert best == scores[index].argmax()
        assert five[best] == pytest.approx(scores[index].max(), abs=sample.tolerance)


def test_a_size_without_a_gear_is_refused_by_the_sample(tmp_path: Path) -> None:
    sample = of_size(224, 224)
    folder, *_ = prepared(sample, tmp_path)
    finished = run(folder, "device", ["--h=200", "--w=200"])
    assert finished.returncode == 1
    assert "145021" in finished.stderr
