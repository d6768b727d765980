"""Whole programs against the stand-in: our own, that call `acl` in the order in which published ones do.

The published ones themselves are run by `tests/contracts/test_published_samples.py` where there is a copy of them.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from infra.atc import aipp
from infra.atc.emulator.compiler import compile_model
from infra.atc.emulator.om import write_om
from models import preprocess
from tests import boards

pytestmark = pytest.mark.program

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


SEVERAL_SIZES = """
import sys
import acl
import numpy as np

def check(code):
    assert code == 0, (code, acl.get_recent_err_msg())

def buffers(description, count, size_of):
    made = []
    for index in range(count):
        size = size_of(description, index)
        pointer, code = acl.rt.malloc(size, 0)
        check(code)
        made.append((pointer, size))
    return made

def dataset(memory):
    made = acl.mdl.create_dataset()
    for pointer, size in memory:
        _, code = acl.mdl.add_dataset_buffer(made, acl.create_data_buffer(pointer, size))
        check(code)
    return made

def forget(made):
    for index in range(acl.mdl.get_dataset_num_buffers(made)):
        check(acl.destroy_data_buffer(acl.mdl.get_dataset_buffer(made, index)))
    check(acl.mdl.destroy_dataset(made))

check(acl.init())
check(acl.rt.set_device(0))
context, code = acl.rt.create_context(0)
check(code)
model, code = acl.mdl.load_from_file(sys.argv[1])
check(code)
description = acl.mdl.create_desc()
check(acl.mdl.get_desc(description, model))
inputs = buffers(description, acl.mdl.get_num_inputs(description), acl.mdl.get_input_size_by_index)
outputs = buffers(description, acl.mdl.get_num_outputs(description), acl.mdl.get_output_size_by_index)
for path in sys.argv[2:]:
    picture = np.load(path)
    source, target = dataset(inputs), dataset(outputs)
    pixels = picture.tobytes()
    pointer, largest = inputs[0]
    check(acl.rt.memcpy(pointer, largest, acl.util.bytes_to_ptr(pixels), largest, 1))  # more than the picture has
    index, code = acl.mdl.get_input_index_by_name(description, "ascend_mbatch_shape_data")
    check(code)
    sizes, code = acl.mdl.get_dynamic_hw(description, index)
    check(code)
    assert list(picture.shape[:2]) in sizes["hw"]
    check(acl.mdl.set_dynamic_hw_size(model, source, index, *picture.shape[:2]))
    check(acl.mdl.execute(model, source, target))
    forget(source)
    forget(target)
    host, code = acl.rt.malloc_host(outputs[0][1])
    check(code)
    check(acl.rt.memcpy(host, outputs[0][1], outputs[0][0], outputs[0][1], 2))
    dims, code = acl.mdl.get_cur_output_dims(description, 0)
    check(code)
    result = acl.util.ptr_to_bytes(host, outputs[0][1])
    print(*np.frombuffer(result, np.float32).reshape(dims["dims"])[0])
    check(acl.rt.free_host(host))
check(acl.mdl.unload(model))
check(acl.mdl.destroy_desc(description))
for pointer, _ in inputs + outputs:
    check(acl.rt.free(pointer))
check(acl.rt.destroy_context(context))
check(acl.rt.reset_device(0))
check(acl.finalize())
"""

PICTURES_IN_BATCHES = """
import sys
import acl
import numpy as np
from PIL import Image

HOST = acl.rt.get_run_mode()[0] == 1  # asked before acl.init

def check(code):
    if code:
        raise RuntimeError(code)

class World:
    def __init__(self):
        check(acl.init())
        check(acl.rt.set_device(0))
        self.context, code = acl.rt.create_context(0)
        check(code)
        self.stream, code = acl.rt.create_stream()
        check(code)

    def __del__(self):  # at the interpreter's end, perhaps before the others
        acl.rt.destroy_stream(self.stream)
        acl.rt.destroy_context(self.context)
        acl.rt.reset_device(0)
        acl.finalize()

class Eyes:
    def __init__(self, stream):
        self.stream = stream
        self.channel = acl.media.dvpp_create_channel_desc()
        check(acl.media.dvpp_create_channel(self.channel))
        self.how = acl.media.dvpp_create_resize_config()

    def describe(self, pointer, size, shape, strides):
        made = acl.media.dvpp_create_pic_desc()
        for name, value in zip(
            ("data", "size", "format", "width", "height", "width_stride", "height_stride"),
            (pointer, size, 1, *shape, *strides),
        ):
            check(getattr(acl.media, "dvpp_set_pic_desc_" + name)(made, value))
        return made

    def room(self, strides):
        size = strides[0] * strides[1] * 3 // 2
        pointer, code = acl.media.dvpp_malloc(size)
        check(code)
        return pointer, size

    def look(self, path, shape):
        jpeg = np.fromfile(path, np.byte)
        with Image.open(path) as header:
            own = header.size
        data, code = acl.media.dvpp_malloc(jpeg.size)
        check(code)
        check(acl.rt.memcpy(data, jpeg.size, acl.util.numpy_to_ptr(jpeg), jpeg.size, 1 if HOST else 3))
        strides = -(-own[0] // 128) * 128, -(-own[1] // 16) * 16
        if not HOST:
            assert acl.media.dvpp_jpeg_predict_dec_size(data, jpeg.size, 1) == (strides[0] * strides[1] * 3 // 2, 0)
        whole, small = self.room(strides), self.room(shape)
        decoded, resized = self.describe(*whole, own, strides), self.describe(*small, shape, shape)
        check(acl.media.dvpp_jpeg_decode_async(self.channel, data, jpeg.size, decoded, self.stream))
        check(acl.media.dvpp_vpc_resize_async(self.channel, decoded, resized, self.how, self.stream))
        check(acl.rt.synchronize_stream(self.stream))
        for description in (decoded, resized):
            check(acl.media.dvpp_destroy_pic_desc(description))
        for pointer in (data, whole[0]):
            check(acl.media.dvpp_free(pointer))
        return small

    def __del__(self):
        acl.media.dvpp_destroy_resize_config(self.how)
        acl.media.dvpp_destroy_channel(self.channel)
        acl.media.dvpp_destroy_channel_desc(self.channel)

class Judge:
    def __init__(self, path):
        om = open(path, "rb").read()
        self.model, code = acl.mdl.load_from_mem(acl.util.bytes_to_ptr(om), len(om))
        check(code)
        self.description = acl.mdl.create_desc()
        check(acl.mdl.get_desc(self.description, self.model))

    def decide(self, pictures):
        size = acl.mdl.get_input_size_by_index(self.description, 0)
        batch, code = acl.rt.malloc(size, 0)
        check(code)
        for number, (pointer, length) in enumerate(pictures):
            check(acl.rt.memcpy(batch + number * length, length, pointer, length, 3))
        index, code = acl.mdl.get_input_index_by_name(self.description, "ascend_mbatch_shape_data")
        check(code)
        gears, code = acl.mdl.get_dynamic_batch(self.description)
        check(code)
        assert len(pictures) in gears["batch"]
        source, target = acl.mdl.create_dataset(), acl.mdl.create_dataset()
        gear_size = acl.mdl.get_input_size_by_index(self.description, index)
        gear, code = acl.rt.malloc(gear_size, 2)
        check(code)
        for pointer, length in ((batch, size), (gear, gear_size)):
            check(acl.mdl.add_dataset_buffer(source, acl.create_data_buffer(pointer, length))[1])
        room = acl.mdl.get_output_size_by_index(self.description, 0)
        answer, code = acl.rt.malloc(room, 2)
        check(code)
        check(acl.mdl.add_dataset_buffer(target, acl.create_data_buffer(answer, room))[1])
        check(acl.mdl.set_dynamic_batch_size(self.model, source, index, len(pictures)))
        check(acl.mdl.execute(self.model, source, target))
        shape = tuple(acl.mdl.get_output_dims(self.description, 0)[0]["dims"])
        result = np.zeros(shape, np.float32).tobytes()  # the answer is copied into these very bytes
        check(acl.rt.memcpy(acl.util.bytes_to_ptr(result), len(result), answer, room, 2 if HOST else 3))
        return np.frombuffer(result, np.float32).reshape(shape)[: len(pictures)]

    def __del__(self):
        acl.mdl.unload(self.model)
        acl.mdl.destroy_desc(self.description)

world = World()
judge, eyes = Judge(sys.argv[1]), Eyes(world.stream)
for line in judge.decide([eyes.look(path, (64, 48)) for path in sys.argv[2:]]):
    print(*line)
"""


def run(program: Any, *arguments: Any, environment: Any = None) -> Any:
    return subprocess.run(
        [sys.executable, program, *map(str, arguments)],
        env={"PYTHONPATH": str(boards.ACL), "PATH": os.environ["PATH"], **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("mode", ["device", "host"])
def test_an_asynchronous_program(tmp_path: Path, om: Any, mode: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(ASYNCHRONOUS)
    tensor = preprocess.normalise(boards.images(6))
    np.save(tmp_path / "images.npy", tensor)
    finished = run(program, om(), tmp_path / "images.npy", environment={"ATLASFLOW_ACL_RUN_MODE": mode})
    assert finished.returncode == 0, finished.stderr
    expected = (tensor.reshape(6, -1) @ boards.weights()).argmax(axis=1)
    lines = [line.split() for line in finished.stdout.splitlines()]
    assert [(int(number), int(best)) for number, best, _ in lines] == list(enumerate(expected))
    assert {thread for _, _, thread in lines} == {"acl-thread"}


def compiled(tmp_path: Path, dims: Any, config: Any, **options: Any) -> Any:
    """The `.om` of a network that gives the mean of each plane of `image`; returns its path."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["mean"]),
        ],
        "planes",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [dims[0], 3])],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)
    onnx.save(network, tmp_path / "net.onnx")
    (tmp_path / "aipp.cfg").write_text(aipp.write({"aipp_mode": "static", **config}))
    given = {
        "model": str(tmp_path / "net.onnx"), "framework": "5", "output": "net", "soc_version": "Ascend310",
        "insert_op_conf": str(tmp_path / "aipp.cfg"), "precision_mode": "must_keep_origin_dtype",
        "input_shape": "image:" + ",".join(str(size) if isinstance(size, int) else "-1" for size in dims), **options,
    }  # fmt: skip
    write_om(tmp_path / "net.om", compile_model(given, "version", lambda _warning: None).om)
    return tmp_path / "net.om"


def numbers(finished: Any) -> Any:
    assert (finished.returncode, finished.stderr) == (0, "")
    return np.array([line.split() for line in finished.stdout.splitlines()], float)


@pytest.mark.parametrize("mode", ["device", "host"])
def test_a_program_with_pictures_of_several_sizes(tmp_path: Path, mode: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(SEVERAL_SIZES)
    config = {"input_format": "RGB888_U8", "mean_chn_0": 100, "mean_chn_1": 50}
    om = compiled(tmp_path, [1, 3, "h", "w"], config, dynamic_image_size="64,32;160,200;400,500")
    paths, expected = [], []
    for height, width in [(160, 200), (64, 32), (400, 500)]:
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        paths.append(tmp_path / f"{height}.npy")
        np.save(paths[-1], pixels)
        expected.append(pixels.mean((0, 1)) - [100, 50, 0])
    finished = run(program, om, *paths, environment={"ATLASFLOW_ACL_RUN_MODE": mode})
    assert np.abs(numbers(finished) - expected).max() < 0.1


@pytest.mark.parametrize("mode", ["device", "host"])
def test_a_program_that_decodes_resizes_and_judges_a_batch(tmp_path: Path, mode: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PICTURES_IN_BATCHES)
    matrix = {"matrix_r0c0": 256, "matrix_r0c2": 359, "matrix_r1c0": 256, "matrix_r1c1": -88, "matrix_r1c2": -183}
    matrix |= {"matrix_r2c0": 256, "matrix_r2c1": 454, "input_bias_1": 128, "input_bias_2": 128}
    config = {"input_format": "YUV420SP_U8", "csc_switch": True, **matrix}
    om = compiled(tmp_path, ["n", 3, 48, 64], config, dynamic_batch_size="1,3,4")
    colours = [(200, 40, 60), (30, 180, 90), (70, 80, 220)]
    for number, colour in enumerate(colours):
        Image.new("RGB", (150 + 37 * number, 90 + 21 * number), colour).save(tmp_path / f"{number}.jpg", quality=95)
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    finished = run(program, om, *paths, environment={"ATLASFLOW_ACL_RUN_MODE": mode})
    assert np.abs(numbers(finished) - colours).max() < 4
