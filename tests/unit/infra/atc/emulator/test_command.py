"""The stand-in's command: its lines, its codes, its files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from infra.air.writer import to_air
from infra.atc.emulator import command
from infra.atc.emulator.om import OmModel, read_om
from infra.atc.options import OPTIONS
from tests.unit.infra.atc.emulator.broken import changed, changed_air
from tests.unit.infra.atc.emulator.commands import AIR, BASE, CHECKOUT, DYNAMIC, SHAPE
from tests.unit.infra.atc.emulator.networks import lenet, model_of, saved

pytestmark = pytest.mark.usefixtures("folder")


def compiled(*more: str) -> OmModel:
    assert command.main([*BASE, *more]) == 0
    return read_om(Path("net.om"))


def test_success_prints_atcs_lines_and_the_mark_of_the_stand_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*BASE, SHAPE]) == 0
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first == "ATC start working now, please wait for a moment."
    assert "stand-in" in second
    assert rest == ["ATC run success, welcome to the next use."]


def test_failure_prints_the_line_then_code_cause_and_solution(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--model=net.onnx"]) == 255
    captured = capsys.readouterr()
    assert captured.err == ""
    _, _, failure, code, cause, solution, *_ = captured.out.splitlines()
    assert failure == "ATC run failed, Please check the detail log, Try 'atc --help' for more information"
    assert re.fullmatch(r"E10054: .*soc_version.*", code)
    assert re.fullmatch(r" {8}Possible Cause: .+", cause)
    assert re.fullmatch(r" {8}Solution: .+", solution)


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--help", "-h"):
        assert command.main(["--model=x", flag]) == 0
        text = capsys.readouterr().out
        assert all(f"--{name} " in text for name in OPTIONS)


@pytest.mark.parametrize("arguments", [["--modle=x"], ["net.onnx"], ["--model"]])
def test_unknown_flags_stop_the_parser(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 1
    assert "ERROR:" in capsys.readouterr().err


def test_separate_values_and_an_existing_suffix_are_accepted(folder: Path) -> None:
    arguments = ["--model", "net.onnx", "--framework", "5", "--output", "a.om", "--soc_version", "Ascend310"]
    assert command.main(arguments) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.om", "fusion_result.json", "kernel_meta", "net.onnx", "open.onnx",
    ]  # fmt: skip


def test_as_a_command_it_starts_without_the_onnx_library_for_a_wrong_option(folder: Path) -> None:
    script = (
        "import sys; from infra.atc.emulator import command; code = command.main(['--model=net.onnx']); "
        "sys.exit(99 if {'onnx', 'numpy'} & set(sys.modules) else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 255, done.stderr
    assert "E10054" in done.stdout


def test_the_weight_option_is_ignored_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    compiled(SHAPE, "--weight=none")
    assert "--weight is ignored" in capsys.readouterr().out.splitlines()[-1]


def test_options_that_air_does_not_take_are_ignored_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.air").write_bytes(to_air(lenet("n"), batch=2))
    ignored = ["--input_shape=picture:7", "--input_fp16_nodes=picture", "--out_nodes=none:0"]
    assert command.main([*AIR, *ignored]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[-3:]] == ["--input_shape", "--input_fp16_nodes", "--out_nodes"]
    model = read_om(Path("net.om"))
    assert [(tensor.name, tensor.dims) for tensor in (*model.inputs, *model.outputs)] == [
        ("image", (2, 3, 32, 32)), ("logits:0:logits", (2, 10)),
    ]  # fmt: skip


def test_the_same_network_through_air_and_onnx_computes_the_same() -> None:
    Path("net.air").write_bytes(to_air(lenet()))
    image = np.random.default_rng(1).normal(0, 1, (1, 3, 32, 32)).astype(np.float32)
    results = []
    for arguments in (AIR, [*BASE, SHAPE]):
        assert command.main(arguments) == 0
        session = onnxruntime.InferenceSession(read_om(Path("net.om")).onnx, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"image": image})[0])
    assert np.array_equal(*results)


def test_mode_3_names_the_operator_of_air_that_is_unknown() -> None:
    changed_air("Conv2D", "", b"Convolute")
    assert command.main(["--mode=3", "--model=net.air", "--framework=1"]) == 255
    report = json.loads(Path("check_result.json").read_text())
    assert [op["op_type"] for op in report["op"] if op["result"] == "failed"] == ["Convolute", "Convolute"]


def test_an_om_describes_its_inputs_and_outputs() -> None:
    model = compiled(SHAPE)
    (image,), (logits,) = model.inputs, model.outputs
    assert (image.name, image.dtype, image.dims, image.format, image.size) == ("image", 0, (1, 3, 32, 32), 0, 12288)
    assert (logits.name, logits.dtype, logits.dims, logits.format, logits.size) == (
        "dense3:0:logits", 0, (1, 10), 2, 40,
    )  # fmt: skip
    assert (model.name, model.soc_version, model.precision_mode) == ("net", "Ascend310", "force_fp16")


def test_dynamic_batch_has_gears_and_their_input() -> None:
    model = compiled("--model=open.onnx", DYNAMIC, "--dynamic_batch_size=4,1,8")
    image, gear = model.inputs
    assert (image.dims, image.size) == ((-1, 3, 32, 32), 8 * 12288)
    assert (gear.name, gear.dtype, gear.dims, gear.size) == ("ascend_mbatch_shape_data", 9, (1,), 8)
    assert model.batch_gears == (4, 1, 8)
    assert model.outputs[0].dims == (8, 10)


def test_dynamic_image_size_and_dims_have_gears() -> None:
    pool = helper.make_node("GlobalAveragePool", ["image"], ["out"], name="pool")
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"]),
        helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3, 1, 1]),
    ]
    saved(model_of([pool], ends[:1], ends[1:]), Path("net.onnx"))
    model = compiled("--input_shape=image:1,3,-1,-1", "--dynamic_image_size=8,8;16,24")
    assert (model.gear_kind, model.gears) == ("image", ((8, 8), (16, 24)))
    assert model.inputs[0].size == 3 * 16 * 24 * 4
    assert model.inputs[1].dims == (2,)
    model = compiled("--input_shape=image:-1,3,-1,8", "--dynamic_dims=1,8;2,16")
    assert (model.gear_kind, model.inputs[0].size) == ("dims", 2 * 3 * 16 * 8 * 4)


def test_mode_1_gives_the_graph_as_json() -> None:
    compiled(SHAPE, "--precision_mode=must_keep_origin_dtype")
    assert command.main(["--mode=1", "--om=net.om", "--json=om.json"]) == 0
    assert command.main(["--mode=1", "--om=net.onnx", "--framework=5", "--json=net.json", "--dump_mode=1"]) == 0
    from_om, from_net = (json.loads(Path(name).read_text())["graph"][0] for name in ("om.json", "net.json"))
    assert [op["type"] for op in from_om["op"]] == [op["type"] for op in from_net["op"]]
    assert (from_om["input"], from_om["output"]) == (["image"], ["logits"])
    assert from_net["op"][0]["output_desc"] == [{"shape": {"dim": [1, 6, 28, 28]}}]


def test_mode_3_writes_a_report_and_no_om(folder: Path) -> None:
    arguments = ["--mode=3", "--model=net.onnx", "--framework=5"]
    assert command.main(arguments) == 0
    report = json.loads(Path("check_result.json").read_text())
    assert report["result"] == "success"
    assert {op["result"] for op in report["op"]} == {"success"}
    changed(lambda net: setattr(net.graph.node[0], "op_type", "Convolute"))()
    assert command.main([*arguments, "--check_report=other.json"]) == 255
    first, second, *_ = json.loads(Path("other.json").read_text())["op"]
    assert (first["op_name"], first["result"], first["cause"][0]["code"]) == ("conv1", "failed", "E19010")
    assert second["result"] == "success"
    assert not list(folder.glob("*.om"))


def test_mode_6_describes_an_om(capsys: pytest.CaptureFixture[str]) -> None:
    compiled("--model=open.onnx", DYNAMIC, "--dynamic_batch_size=1,4", "--display_model_info=1")
    shown = capsys.readouterr().out
    assert command.main(["--mode=6", "--om=net.om"]) == 0
    text = capsys.readouterr().out
    assert text == shown
    for word in (
        "soc_version[Ascend310]",
        "emulated[true]",
        "shape[-1,3,32,32]",
        "name[dense3:0:logits]",
        "batch: 1;4",
    ):
        assert word in text


def test_out_nodes_and_output_types_change_the_outputs() -> None:
    model = compiled(SHAPE, "--out_nodes=dense2:0;dense3:0", "--output_type=dense2:0:FP16")
    assert [(out.name, out.dtype, out.size) for out in model.outputs] == [
        ("dense2:0:d2", 1, 168), ("dense3:0:logits", 0, 40),
    ]  # fmt: skip
    assert [out.dtype for out in compiled(SHAPE, "--output_type=FP16").outputs] == [1]


def test_a_full_disk_leaves_no_om(folder: Path) -> None:
    """The real command under a limit on the size of files."""
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", sys.executable,
         "-m", "infra.atc.emulator.command", *BASE, SHAPE],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 255, done.stderr
    assert "E13004: The file [" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["net.onnx", "open.onnx"]


def test_side_files_tell_of_fusions() -> None:
    compiled(SHAPE)
    assert Path("kernel_meta").is_dir()
    (result,) = json.loads(Path("fusion_result.json").read_text())
    assert result["graph_fusion"] == {"ConvBatchnormFusionPass": {"effect_times": "0", "match_times": "0"}}


def test_the_bytes_depend_on_neither_paths_nor_the_exporters_name(folder: Path) -> None:
    compiled(SHAPE)
    first = Path("net.om").read_bytes()
    network = lenet()
    network.producer_name, network.graph.doc_string = "somebody", "at noon"
    (folder / "elsewhere").mkdir()
    saved(network, folder / "elsewhere" / "other.onnx")
    compiled(SHAPE, "--model=elsewhere/other.onnx", "--output=elsewhere/net.om")
    assert (folder / "elsewhere" / "net.om").read_bytes() == first
