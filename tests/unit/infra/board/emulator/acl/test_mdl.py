import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.atc.emulator.om import MARK, pack_om
from models import preprocess
from tests import boards

D2D = 3


@pytest.fixture
def loaded(acl: Any, om: Any) -> Any:
    """A model with its description: (id, description)."""
    model, code = acl.mdl.load_from_file(om())
    assert code == 0
    description = acl.mdl.create_desc()
    assert acl.mdl.get_desc(description, model) == 0
    return model, description


def dataset(acl: Any, *sizes: Any) -> Any:
    """A dataset with device memory; returns (dataset, [(address, size)])."""
    handle, pointers = acl.mdl.create_dataset(), []
    for size in sizes:
        pointer, code = acl.rt.malloc(size, 2)
        assert code == 0
        pointers.append(pointer)
        assert acl.mdl.add_dataset_buffer(handle, acl.create_data_buffer(pointer, size)) == (handle, 0)
    return handle, pointers


def fill(acl: Any, pointer: Any, array: Any) -> None:
    data = array.tobytes()
    assert acl.rt.memcpy(pointer, len(data), acl.util.bytes_to_ptr(data), len(data), D2D) == 0


def fetch(acl: Any, pointer: Any, count: Any) -> Any:
    return np.frombuffer(acl.util.ptr_to_bytes(pointer, count * 4), np.float32)


def tensors(count: Any, seed: int = 3) -> Any:
    return preprocess.normalise(boards.images(count, seed))


def test_a_model_describes_itself(acl: Any, loaded: Any) -> None:
    _, description = loaded
    assert acl.mdl.get_num_inputs(description) == acl.mdl.get_num_outputs(description) == 1
    assert acl.mdl.get_input_size_by_index(description, 0) == 12_288
    assert acl.mdl.get_output_size_by_index(description, 0) == 40
    assert acl.mdl.get_input_dims(description, 0) == ({"name": "image", "dimCount": 4, "dims": [1, 3, 32, 32]}, 0)
    assert acl.mdl.get_input_dims_v2(description, 0) == acl.mdl.get_input_dims(description, 0)
    output = {"name": "MatMul_1:0:logits", "dimCount": 2, "dims": [1, 10]}
    assert acl.mdl.get_output_dims(description, 0) == acl.mdl.get_cur_output_dims(description, 0) == (output, 0)
    assert acl.mdl.get_input_name_by_index(description, 0) == "image"
    assert acl.mdl.get_output_name_by_index(description, 0) == "MatMul_1:0:logits"
    assert acl.mdl.get_input_index_by_name(description, "image") == (0, 0)
    assert acl.mdl.get_output_index_by_name(description, "MatMul_1:0:logits") == (0, 0)
    assert acl.mdl.get_input_data_type(description, 0) == acl.mdl.get_output_data_type(description, 0) == 0
    assert (acl.mdl.get_input_format(description, 0), acl.mdl.get_output_format(description, 0)) == (0, 2)
    assert acl.mdl.get_input_dynamic_gear_count(description, -1) == (0, 0)
    assert acl.mdl.get_dynamic_batch(description) == ({"batchCount": 0, "batch": []}, 0)
    assert acl.mdl.get_dynamic_hw(description, -1) == ({"hwCount": 0, "hw": []}, 0)


def test_a_picture_s_dimensions_and_its_bytes(acl: Any, tmp_path: Path) -> None:
    """The two differ for pictures in YUV420SP in front of static AIPP."""
    linear = boards.linear_om(boards.weights())
    fed = replace(linear.inputs[0], dtype=4, dims=(1, 48, 32, 1), format=1, size=48 * 32)
    model = replace(linear, inputs=(fed,), aipp={"image": {"aipp_mode": "static", "input_format": "YUV420SP_U8"}})
    (tmp_path / "yuv.om").write_bytes(pack_om(model))
    number, code = acl.mdl.load_from_file(str(tmp_path / "yuv.om"))
    assert code == 0
    description = acl.mdl.create_desc()
    acl.mdl.get_desc(description, number)
    assert acl.mdl.get_input_dims(description, 0)[0]["dims"] == [1, 32, 32, 3]
    assert acl.mdl.get_input_dims_v2(description, 0)[0]["dims"] == [1, 48, 32, 1]
    assert acl.mdl.get_input_size_by_index(description, 0) == 48 * 32


def test_what_is_not_there(acl: Any, loaded: Any) -> None:
    _, description = loaded
    assert acl.mdl.get_input_index_by_name(description, "ascend_mbatch_shape_data") == (0, 100000)
    assert acl.mdl.get_input_size_by_index(description, 1) == 0
    assert acl.mdl.get_output_dims(description, 5) == ({}, 100000)
    assert acl.mdl.get_num_inputs(0) == 0
    empty = acl.mdl.create_desc()
    assert acl.mdl.get_num_outputs(empty) == 0
    assert acl.mdl.get_desc(empty, 12345) == 145003
    assert acl.mdl.destroy_desc(empty) == 0
    assert acl.mdl.destroy_desc(empty) == 100000


def test_execute_computes_the_network(acl: Any, loaded: Any) -> None:
    model, _ = loaded
    inputs, (source,) = dataset(acl, 12_288)
    outputs, (target,) = dataset(acl, 40)
    for seed in range(3):
        tensor = tensors(1, seed)
        fill(acl, source, tensor)
        assert acl.mdl.execute(model, inputs, outputs) == 0
        assert fetch(acl, target, 10) == pytest.approx((tensor.reshape(1, -1) @ boards.weights())[0], abs=1e-4)


def test_execute_in_host_mode(host_mode: Any, acl: Any, om: Any) -> None:
    model, _ = acl.mdl.load_from_file(om())
    inputs, (source,) = dataset(acl, 12_288)
    outputs, (target,) = dataset(acl, 40)
    data, result = tensors(1).tobytes(), bytes(40)
    assert acl.rt.memcpy(source, 12_288, acl.util.bytes_to_ptr(data), 12_288, 1) == 0
    assert acl.mdl.execute(model, inputs, outputs) == 0
    assert acl.rt.memcpy(acl.util.bytes_to_ptr(result), 40, target, 40, 2) == 0
    expected = np.frombuffer(data, np.float32).reshape(1, -1) @ boards.weights()
    assert np.frombuffer(result, np.float32) == pytest.approx(expected[0], abs=1e-4)


def test_execute_in_a_stream(acl: Any, loaded: Any) -> None:
    model, _ = loaded
    stream, _ = acl.rt.create_stream()
    tensor = tensors(4)
    sets = []
    for image in tensor:
        inputs, (source,) = dataset(acl, 12_288)
        outputs, (target,) = dataset(acl, 40)
        fill(acl, source, image)
        assert acl.mdl.execute_async(model, inputs, outputs, stream) == 0
        sets.append(target)
    assert acl.rt.synchronize_stream(stream) == 0
    expected = tensor.reshape(4, -1) @ boards.weights()
    for target, logits in zip(sets, expected, strict=True):
        assert fetch(acl, target, 10) == pytest.approx(logits, abs=1e-4)


@pytest.mark.parametrize(("size", "code"), [(12_288, 0), (20_000, 0), (12_288 - 64, 0), (12_288 - 65, 145000)])
def test_larger_buffers_are_accepted_and_slightly_smaller_ones(acl: Any, loaded: Any, size: Any, code: int) -> None:
    model, _ = loaded
    inputs, (source,) = dataset(acl, size)
    acl.rt.memset(source, size, 0, size)
    outputs, _ = dataset(acl, 40)
    assert acl.mdl.execute(model, inputs, outputs) == code


def test_execute_checks_its_arguments(acl: Any, loaded: Any) -> None:
    model, _ = loaded
    inputs, _ = dataset(acl, 12_288)
    outputs, _ = dataset(acl, 40)
    empty = acl.mdl.create_dataset()
    assert acl.mdl.execute(12345, inputs, outputs) == 145003
    assert acl.mdl.execute(model, 0, outputs) == 100000
    assert acl.mdl.execute(model, inputs, 0) == 100000
    assert acl.mdl.execute(model, empty, outputs) == 100000
    assert acl.mdl.execute(model, inputs, empty) == 100000
    small, _ = dataset(acl, 8)
    assert acl.mdl.execute(model, small, outputs) == 145000
    assert "8 bytes of 12288" in acl.get_recent_err_msg()


def test_an_output_without_memory_gets_some(acl: Any, loaded: Any) -> None:
    model, _ = loaded
    inputs, (source,) = dataset(acl, 12_288)
    fill(acl, source, tensors(1))
    outputs = acl.mdl.create_dataset()
    buffer = acl.create_data_buffer(0, 0)
    acl.mdl.add_dataset_buffer(outputs, buffer)
    assert acl.mdl.execute(model, inputs, outputs) == 0
    assert acl.get_data_buffer_size_v2(buffer) == 40
    assert acl.rt.free(acl.get_data_buffer_addr(buffer)) == 0
    stream, _ = acl.rt.create_stream()
    acl.update_data_buffer(buffer, 0, 0)
    assert acl.mdl.execute_async(model, inputs, outputs, stream) == 0
    assert acl.rt.synchronize_stream(stream) == 145000


def test_a_model_lives_in_its_context(acl: Any, loaded: Any) -> None:
    model, _ = loaded
    first, _ = acl.rt.get_context()
    inputs, _ = dataset(acl, 12_288)
    outputs, _ = dataset(acl, 40)
    acl.rt.create_context(0)
    assert acl.mdl.execute(model, inputs, outputs) == 107004
    assert acl.mdl.unload(model) == 107004
    acl.rt.set_context(first)
    assert acl.mdl.unload(model) == 0
    assert acl.mdl.unload(model) == 145003


def test_loading_needs_a_context(fresh_acl: Any, om: Any) -> None:
    fresh_acl.init()
    assert fresh_acl.mdl.load_from_file(om()) == (0, 107002)


def test_bad_model_files(acl: Any, om: Any, tmp_path: Path) -> None:
    path = Path(om())
    assert acl.mdl.load_from_file(str(tmp_path / "absent.om")) == (0, 145002)
    assert acl.mdl.load_from_file("") == (0, 145002)
    whole = path.read_bytes()
    for damaged, code in [
        (b"", 145002),
        (b"IMOD", 145006),
        (whole[:-1], 145006),
        (whole + b"!", 145006),
        (b"ONNX" + whole[4:], 145006),
    ]:
        path.write_bytes(damaged)
        assert acl.mdl.load_from_file(str(path)) == (0, code)


def test_a_model_for_another_chip(acl: Any, om: Any) -> None:
    assert acl.mdl.load_from_file(om(soc_version="Ascend310B4")) == (0, 507008)
    assert "ModelCheckCompatibility failed" in acl.get_recent_err_msg()


def test_a_network_that_cannot_be_loaded(acl: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.om"
    path.write_bytes(pack_om(replace(boards.linear_om(boards.weights()), onnx=b"no network")))
    assert acl.mdl.load_from_file(str(path)) == (0, 545001)


def test_models_in_memory(acl: Any, om: Any) -> None:
    path = om()
    data = Path(path).read_bytes()
    pointer = acl.util.bytes_to_ptr(data)
    model, code = acl.mdl.load_from_mem(pointer, len(data))
    assert code == 0
    assert acl.mdl.unload(model) == 0
    assert acl.mdl.load_from_mem(0, 10) == (0, 145007)
    assert acl.mdl.load_from_mem(pointer, 0) == (0, 145006)
    assert acl.mdl.load_from_mem(pointer, len(data) - 1) == (0, 145006)
    work, weight, code = acl.mdl.query_size(path)
    assert (code, work) == (0, 12_288 + 40)
    assert acl.mdl.query_size_from_mem(pointer, len(data)) == (work, weight, 0)
    work_pointer, _ = acl.rt.malloc(work, 2)
    weight_pointer, _ = acl.rt.malloc(weight, 2)
    for load, model in (
        (acl.mdl.load_from_file_with_mem, (path,)),
        (acl.mdl.load_from_mem_with_mem, (pointer, len(data))),
    ):
        assert load(*model, work_pointer, work, weight_pointer, weight)[1] == 0
        assert load(*model, work_pointer, work - 1, weight_pointer, weight) == (0, 145000)


def test_data_buffers(acl: Any) -> None:
    buffer = acl.create_data_buffer(4096, 10)
    assert (acl.get_data_buffer_addr(buffer), acl.get_data_buffer_size(buffer)) == (4096, 10)
    assert acl.update_data_buffer(buffer, 8192, 20) == 0
    assert (acl.get_data_buffer_addr(buffer), acl.get_data_buffer_size_v2(buffer)) == (8192, 20)
    assert acl.destroy_data_buffer(buffer) == 0
    assert acl.destroy_data_buffer(buffer) == 100000
    assert acl.get_data_buffer_addr(buffer) == 0
    handle = acl.mdl.create_dataset()
    assert acl.mdl.add_dataset_buffer(handle, buffer) == (handle, 100000)
    assert acl.mdl.get_dataset_num_buffers(handle) == 0
    assert acl.mdl.get_dataset_buffer(handle, 0) == 0
    assert acl.mdl.destroy_dataset(handle) == 0
    assert acl.mdl.destroy_dataset(handle) == 100000


def test_dynamic_batch(acl: Any, om: Any) -> None:
    model, _ = acl.mdl.load_from_file(om(gears=(1, 2, 4)))
    description = acl.mdl.create_desc()
    acl.mdl.get_desc(description, model)
    assert acl.mdl.get_num_inputs(description) == 2
    assert acl.mdl.get_dynamic_batch(description) == ({"batchCount": 3, "batch": [1, 2, 4]}, 0)
    assert acl.mdl.get_input_dims(description, 0)[0]["dims"] == [-1, 3, 32, 32]
    assert acl.mdl.get_output_dims(description, 0)[0]["dims"] == [4, 10]
    index, code = acl.mdl.get_input_index_by_name(description, "ascend_mbatch_shape_data")
    assert (index, code) == (1, 0)
    sizes = [acl.mdl.get_input_size_by_index(description, number) for number in range(2)]
    inputs, (source, _) = dataset(acl, *sizes)
    outputs, (target,) = dataset(acl, acl.mdl.get_output_size_by_index(description, 0))
    tensor = tensors(4)
    fill(acl, source, tensor)
    expected = tensor.reshape(4, -1) @ boards.weights()
    for batch in (4, 1, 2):
        assert acl.mdl.set_dynamic_batch_size(model, inputs, index, batch) == 0
        assert acl.mdl.get_cur_output_dims(description, 0)[0]["dims"] == [batch, 10]
        acl.rt.memset(target, 160, 0, 160)
        assert acl.mdl.execute(model, inputs, outputs) == 0
        result = fetch(acl, target, 40).reshape(4, 10)
        assert result[:batch] == pytest.approx(expected[:batch], abs=1e-4)
        assert not result[batch:].any()
    assert acl.mdl.set_dynamic_batch_size(model, inputs, index, 3) == 145013
    assert acl.mdl.set_dynamic_batch_size(model, inputs, 0, 2) == 100000
    assert acl.mdl.set_dynamic_hw_size(model, inputs, index, 32, 32) == 100019


def test_a_static_model_has_no_dynamic_batch(acl: Any, loaded: Any) -> None:
    model, _ = loaded
    inputs, _ = dataset(acl, 12_288)
    assert acl.mdl.set_dynamic_batch_size(model, inputs, 0, 1) == 100019


@pytest.fixture
def sized(acl: Any, tmp_path: Path) -> Any:
    """A model of dynamic picture sizes, or of dynamic dimensions: the mean of each plane."""
    from onnx import TensorProto, helper

    def write(kind: Any, gears: Any, dims: Any) -> Any:
        axes = [name if size < 0 else size for name, size in zip("nchw", dims, strict=True)]
        graph = helper.make_graph(
            [helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0)],
            "mean",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, axes)],
            [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [axes[0], 3])],
        )
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)
        image = replace(boards.linear_om(boards.weights(), gears=(2,)).inputs[0], dims=dims, size=2 * 3 * 64 * 64 * 4)
        gear = boards.linear_om(boards.weights(), gears=(2,)).inputs[1]
        output = replace(boards.linear_om(boards.weights()).outputs[0], dims=(2, 3), size=24)
        model = replace(
            boards.linear_om(boards.weights()),
            inputs=(image, replace(gear, dims=(2,), size=8)),
            outputs=(output,),
            gears=gears,
            gear_kind=kind,
            onnx=network.SerializeToString(),
        )
        path = tmp_path / "sized.om"
        path.write_bytes(pack_om(model))
        number, code = acl.mdl.load_from_file(str(path))
        assert code == 0
        description = acl.mdl.create_desc()
        acl.mdl.get_desc(description, number)
        return number, description

    return write


def test_dynamic_picture_sizes(acl: Any, sized: Any) -> None:
    model, description = sized("image", ((32, 32), (64, 64)), (2, 3, -1, -1))
    assert acl.mdl.get_dynamic_hw(description, -1) == ({"hwCount": 2, "hw": [[32, 32], [64, 64]]}, 0)
    inputs, (source, _) = dataset(acl, 2 * 3 * 64 * 64 * 4, 8)
    outputs, (target,) = dataset(acl, 24)
    for size in (32, 64):
        planes = np.random.default_rng(size).random((2, 3, size, size), np.float32)
        fill(acl, source, planes)
        assert acl.mdl.set_dynamic_hw_size(model, inputs, 1, size, size) == 0
        assert acl.mdl.execute(model, inputs, outputs) == 0
        assert fetch(acl, target, 6) == pytest.approx(planes.mean((2, 3)).ravel(), abs=1e-5)
    assert acl.mdl.set_dynamic_hw_size(model, inputs, 1, 48, 48) == 145013
    assert acl.mdl.set_dynamic_batch_size(model, inputs, 1, 2) == 100019


def test_dynamic_dimensions(acl: Any, sized: Any) -> None:
    model, description = sized("dims", ((1, 32, 64), (2, 64, 64)), (-1, 3, -1, -1))
    count, code = acl.mdl.get_input_dynamic_gear_count(description, -1)
    assert (count, code) == (2, 0)
    choices, code = acl.mdl.get_input_dynamic_dims(description, -1, count)
    assert code == 0
    assert [choice["dims"] for choice in choices] == [[1, 3, 32, 64], [2, 3, 64, 64]]
    inputs, (source, _) = dataset(acl, 2 * 3 * 64 * 64 * 4, 8)
    outputs, (target,) = dataset(acl, 24)
    planes = np.random.default_rng(1).random((1, 3, 32, 64), np.float32)
    fill(acl, source, planes)
    assert acl.mdl.set_input_dynamic_dims(model, inputs, 1, choices[0]) == 0
    assert acl.mdl.get_cur_output_dims(description, 0)[0]["dims"] == [1, 3]
    assert acl.mdl.execute(model, inputs, outputs) == 0
    assert fetch(acl, target, 3) == pytest.approx(planes.mean((2, 3)).ravel(), abs=1e-5)
    wrong = {"dimCount": 4, "dims": [9, 3, 32, 64]}
    assert acl.mdl.set_input_dynamic_dims(model, inputs, 1, wrong) == 145013


def test_reset_unloads(acl: Any, loaded: Any) -> None:
    model, description = loaded
    acl.rt.reset_device(0)
    assert acl.mdl.unload(model) == 145003
    assert acl.mdl.destroy_desc(description) == 0


def test_a_size_needs_the_memory_of_its_input(acl: Any, om: Any) -> None:
    model, _ = acl.mdl.load_from_file(om(gears=(1, 2)))
    data = acl.mdl.create_dataset()
    assert acl.mdl.set_dynamic_batch_size(model, data, 1, 2) == 100000  # no buffer
    acl.mdl.add_dataset_buffer(data, acl.create_data_buffer(0, 0))
    assert acl.mdl.set_dynamic_batch_size(model, data, 0, 2) == 100000  # no memory
    assert acl.mdl.set_dynamic_batch_size(model, 0, 0, 2) == 100000


def test_descriptions_of_a_dataset(acl: Any) -> None:
    dataset = acl.mdl.create_dataset()
    description = acl.create_tensor_desc(0, [1, 3], 2)
    assert acl.mdl.set_dataset_tensor_desc(dataset, description, 0)[1] == 100000
    acl.mdl.add_dataset_buffer(dataset, acl.create_data_buffer(0, 0))
    assert acl.mdl.get_dataset_tensor_desc(dataset, 0) == 0
    assert acl.mdl.set_dataset_tensor_desc(dataset, description, 0) == (dataset, 0)
    acl.destroy_tensor_desc(description)  # the dataset has a copy
    copied = acl.mdl.get_dataset_tensor_desc(dataset, 0)
    assert acl.get_tensor_desc_num_dims(copied) == 2
    assert acl.mdl.set_dataset_tensor_desc(dataset, 0, 0) == (dataset, 0)
    assert acl.mdl.get_dataset_tensor_desc(dataset, 0) == 0


def test_a_real_model_has_no_size_here(acl: Any, om: Any) -> None:
    path = Path(om())
    data = path.read_bytes().replace(MARK, b"a graph of the real compiler, as long".ljust(len(MARK)))
    path.write_bytes(data)
    assert acl.mdl.query_size(str(path)) == (0, 0, 545001)


def test_load_with_a_configuration(acl: Any, om: Any) -> None:
    path = om()
    handle = acl.mdl.create_config_handle()
    assert acl.mdl.load_with_config(handle) == (0, 100000)
    assert acl.mdl.set_config_opt(handle, 1, 1) == 0
    with pytest.raises(TypeError):
        acl.mdl.set_config_opt(handle, 2, 5)
    assert acl.mdl.set_config_opt(handle, 2, path) == 0
    model, code = acl.mdl.load_with_config(handle)
    assert code == 0
    desc = acl.mdl.create_desc()
    assert acl.mdl.get_desc_from_file(desc, path) == 0
    assert acl.mdl.get_num_inputs(desc) == 1
    assert acl.mdl.get_aipp_type(model, 0) == (0, 0xFFFF_FFFF, 0)
    assert [acl.mdl.destroy_config_handle(handle), acl.mdl.unload(model)] == [0, 0]


def test_the_profiler_records_executions(acl: Any, loaded: Any, tmp_path: Path) -> None:
    assert acl.prof.start(0) == 100000
    assert acl.prof.init(str(tmp_path / "none")) == 100003
    assert acl.prof.init(str(tmp_path)) == 0
    model, _ = loaded
    (inputs, _), (outputs, _) = dataset(acl, 3 * 32 * 32 * 4), dataset(acl, 40)
    config = acl.prof.create_config([0], 0, 0, 1)
    assert acl.mdl.execute(model, inputs, outputs) == 0  # before the start
    assert acl.prof.start(config) == 0
    assert acl.mdl.execute(model, inputs, outputs) == 0
    assert [acl.prof.stop(config), acl.prof.stop(config), acl.prof.finalize()] == [0, 100043, 0]
    record = json.loads(next(tmp_path.glob("PROF_*/record.json")).read_text())
    assert [entry["model_id"] for entry in record["executions"]] == [model]
    assert record["executions"][0]["duration_ns"] > 0
