"""Whole programs against the stand-in: our own, in the manner of published ones, and the published ones themselves.

The latter are not part of the project: `ATLASFLOW_ASCEND_SAMPLES` names a folder with a copy of Ascend/samples
(ascend-domain.md §4.3 lists the files).
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from infra.atc.om import OmTensor, write_om
from tests import boards

SAMPLES = os.environ.get("ATLASFLOW_ASCEND_SAMPLES", "")  # before a fixture takes our variables away
PLACE = "python/level2_simple_inference/1_classification"

ASYNCHRONOUS = """
import sys, threading
import acl
import numpy as np

def check(code):
    assert code == 0, (code, acl.get_recent_err_msg())

class Program:
    def __init__(self, path):
        check(acl.init())
        check(acl.rt.set_device(0))
        self.context, code = acl.rt.create_context(0)
        check(code)
        self.stream, code = acl.rt.create_stream()
        check(code)
        self.model, code = acl.mdl.load_from_file(path)
        check(code)
        self.desc = acl.mdl.create_desc()
        check(acl.mdl.get_desc(self.desc, self.model))
        self.host = acl.rt.get_run_mode()[0] == 1
        self.leave = False

    def dataset(self, array=None):
        size = array.nbytes if array is not None else acl.mdl.get_output_size_by_index(self.desc, 0)
        pointer, code = acl.rt.malloc(size, 2)
        check(code)
        if array is not None:
            data = array.tobytes()
            check(acl.rt.memcpy(pointer, size, acl.util.bytes_to_ptr(data), size, 1 if self.host else 3))
        dataset = acl.mdl.create_dataset()
        buffer = acl.create_data_buffer(pointer, size)
        assert buffer is not None
        _, code = acl.mdl.add_dataset_buffer(dataset, buffer)
        check(code)
        return dataset

    def reports(self, arguments):
        context, timeout = arguments
        check(acl.rt.set_context(context))
        while not self.leave:
            acl.rt.process_report(timeout)

    def callback(self, pairs):
        for number, _, output in pairs:
            buffer = acl.mdl.get_dataset_buffer(output, 0)
            pointer, size = acl.get_data_buffer_addr(buffer), acl.get_data_buffer_size_v2(buffer)
            target, code = acl.rt.malloc_host(size)
            check(code)
            check(acl.rt.memcpy(target, size, pointer, size, 2 if self.host else 3))
            dims, code = acl.mdl.get_cur_output_dims(self.desc, 0)
            check(code)
            data = np.frombuffer(acl.util.ptr_to_bytes(target, size), np.float32).reshape(tuple(dims["dims"]))
            print(number, int(data.argmax()), threading.current_thread().name)
            check(acl.rt.free_host(target))

    def run(self, images):
        thread, code = acl.util.start_thread(self.reports, [self.context, 50])
        check(code)
        check(acl.rt.subscribe_report(thread, self.stream))
        pairs = []
        for number, image in enumerate(images):
            pair = (number, self.dataset(image), self.dataset())
            check(acl.mdl.execute_async(self.model, pair[1], pair[2], self.stream))
            check(acl.rt.launch_callback(self.callback, [pair], 1, self.stream))
            pairs.append(pair)
        check(acl.rt.synchronize_stream(self.stream))
        check(acl.rt.unsubscribe_report(thread, self.stream))
        self.leave = True
        check(acl.util.stop_thread(thread))
        for _, *both in pairs:
            for dataset in both:
                for index in range(acl.mdl.get_dataset_num_buffers(dataset)):
                    buffer = acl.mdl.get_dataset_buffer(dataset, index)
                    check(acl.rt.free(acl.get_data_buffer_addr(buffer)))
                    check(acl.destroy_data_buffer(buffer))
                check(acl.mdl.destroy_dataset(dataset))

    def release(self):
        check(acl.mdl.unload(self.model))
        check(acl.mdl.destroy_desc(self.desc))
        check(acl.rt.destroy_stream(self.stream))
        check(acl.rt.destroy_context(self.context))
        check(acl.rt.reset_device(0))
        check(acl.finalize())

program = Program(sys.argv[1])
program.run(list(np.load(sys.argv[2])))
program.release()
"""


def run(program, *arguments, environment=None, folder=None):
    return subprocess.run(
        [sys.executable, program, *map(str, arguments)],
        env={"PYTHONPATH": str(boards.ACL), "PATH": os.environ["PATH"], **(environment or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("mode", ["device", "host"])
def test_an_asynchronous_program(tmp_path, om, mode):
    program = tmp_path / "program.py"
    program.write_text(ASYNCHRONOUS)
    tensor = boards.preprocess.normalise(boards.images(6))
    np.save(tmp_path / "images.npy", tensor)
    finished = run(program, om(), tmp_path / "images.npy", environment={"ATLASFLOW_ACL_RUN_MODE": mode})
    assert finished.returncode == 0, finished.stderr
    expected = (tensor.reshape(6, -1) @ boards.weights()).argmax(axis=1)
    lines = [line.split() for line in finished.stdout.splitlines()]
    assert [(int(number), int(best)) for number, best, _ in lines] == list(enumerate(expected))
    assert {thread for _, _, thread in lines} == {"acl-thread"}


def pooled_om(path, *, channels, size, classes, half):
    """A network of a mean and a matrix, for programs that want pictures of their own size."""
    matrix = np.random.default_rng(0).normal(0, 1, (channels, classes)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["wide"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "matrix"], ["logits"]),
        ],
        "pooled",
        [
            helper.make_tensor_value_info(
                "image", TensorProto.FLOAT16 if half else TensorProto.FLOAT, [1, channels, size, size]
            )
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)
    dims = (1, channels, size, size)
    image = OmTensor("image", int(half), dims, 0, channels * size * size * (2 if half else 4))
    logits = OmTensor("MatMul_2:0:logits", 0, (1, classes), 2, classes * 4)
    path.parent.mkdir(exist_ok=True)
    model = replace(boards.linear_om(matrix), inputs=(image,), outputs=(logits,), onnx=network.SerializeToString())
    write_om(path, model)


@pytest.mark.skipif(not SAMPLES, reason="ATLASFLOW_ASCEND_SAMPLES names no copy of Ascend/samples")
@pytest.mark.parametrize("mode", ["device", "host"])
@pytest.mark.parametrize(
    ("sample", "script", "model", "shape"),
    [
        ("resnet50_mindspore_picture", "classify.py", "resnet50.om", (3, 224, 10, False)),
        ("googlenet_mindspore_picture", "classify.py", "googlenet.om", (3, 224, 10, False)),
        ("lenet_mindspore_picture", "classify.py", "mnist.om", (1, 32, 10, False)),
        ("resnet50_imagenet_classification", "acl_net.py", "resnet50.om", (3, 224, 1000, True)),
        ("resnet50_async_imagenet_classification", "acl_net.py", "resnet50.om", (3, 224, 1000, True)),
    ],
)
def test_published_samples(tmp_path, sample, script, model, shape, mode):
    """They run unchanged and print five classes; a copy is used, since they write beside themselves."""
    if sample.startswith("lenet") and importlib.util.find_spec("cv2") is None:
        pytest.skip("this sample needs OpenCV")
    common = Path(SAMPLES) / "python" / "common"
    folder = tmp_path / PLACE / sample
    shutil.copytree(Path(SAMPLES) / PLACE / sample, folder)
    shutil.copytree(common, tmp_path / "python" / "common")
    channels, size, classes, half = shape
    pooled_om(folder / "model" / model, channels=channels, size=size, classes=classes, half=half)
    (folder / "data").mkdir(exist_ok=True)
    boards.picture(folder / "data" / "picture.jpg")
    path = os.pathsep.join(map(str, [boards.ACL, common / "acllite", common / "atlas_utils", common]))
    arguments = [] if script == "acl_net.py" else ["../data/"]
    finished = run(
        folder / "src" / script,
        *arguments,
        environment={"PYTHONPATH": path, "ATLASFLOW_ACL_RUN_MODE": mode},
        folder=folder / "src",
    )
    assert finished.returncode == 0, finished.stderr
    assert "top5" in finished.stdout
    assert "Traceback" not in finished.stderr
