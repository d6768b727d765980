"""The stand-in's command: its lines, its codes, its files."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from infra.air.reader import parse
from infra.air.writer import to_air
from infra.atc import emulator
from infra.atc.codes import CODES
from infra.atc.om import OmModel, read_om
from tests.unit.infra.atc.networks import lenet, model_of, saved
from tests.unit.infra.atc.test_om import _real

CHECKOUT = Path(__file__).resolve().parents[4]
BASE = ["--model=net.onnx", "--framework=5", "--output=net", "--soc_version=Ascend310"]
SHAPE = "--input_shape=image:1,3,32,32"
DYNAMIC = "--input_shape=image:-1,3,32,32"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with some models in it."""
    monkeypatch.chdir(tmp_path)
    saved(lenet(), tmp_path / "net.onnx")
    saved(lenet("n"), tmp_path / "open.onnx")
    return tmp_path


def compiled(*more: str) -> OmModel:
    assert emulator.main([*BASE, *more]) == 0
    return read_om(Path("net.om"))


def test_success_prints_atcs_lines_and_says_that_it_is_a_stand_in(capsys: pytest.CaptureFixture[str]):
    assert emulator.main([*BASE, SHAPE]) == 0
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first == "ATC start working now, please wait for a moment."
    assert "stand-in" in second
    assert rest == ["ATC run success, welcome to the next use."]


def test_failure_prints_the_line_then_code_cause_and_solution(capsys: pytest.CaptureFixture[str]):
    assert emulator.main(["--model=net.onnx"]) == 255
    captured = capsys.readouterr()
    assert captured.err == ""
    _, _, failure, code, cause, solution, *_ = captured.out.splitlines()
    assert failure == "ATC run failed, Please check the detail log, Try 'atc --help' for more information"
    assert re.fullmatch(r"E10054: .*soc_version.*", code)
    assert re.fullmatch(r" {8}Possible Cause: .+", cause)
    assert re.fullmatch(r" {8}Solution: .+", solution)


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]):
    for flag in ("--help", "-h"):
        assert emulator.main(["--model=x", flag]) == 0
        text = capsys.readouterr().out
        assert all(f"--{name} " in text for name in emulator.OPTIONS)


@pytest.mark.parametrize("arguments", [["--modle=x"], ["net.onnx"], ["--model"]])
def test_flags_that_are_none_stop_the_parser(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert emulator.main(arguments) == 1
    assert "ERROR:" in capsys.readouterr().err


def test_values_may_stand_apart_and_the_suffix_is_not_added_twice(folder: Path):
    arguments = ["--model", "net.onnx", "--framework", "5", "--output", "a.om", "--soc_version", "Ascend310"]
    assert emulator.main(arguments) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.om", "fusion_result.json", "kernel_meta", "net.onnx", "open.onnx",
    ]  # fmt: skip


def test_as_a_command_it_starts_without_the_onnx_library_for_a_wrong_option(folder: Path):
    script = (
        "import sys; from infra.atc import emulator; code = emulator.main(['--model=net.onnx']); "
        "sys.exit(99 if {'onnx', 'numpy'} & set(sys.modules) else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 255, done.stderr
    assert "E10054" in done.stdout


def _network(change: Callable[[onnx.ModelProto], object]) -> Callable[[], object]:
    """Replace net.onnx by a changed one."""

    def write() -> None:
        network = lenet()
        change(network)
        saved(network, Path("net.onnx"))

    return write


def _text(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text)


def _reshaped() -> None:
    saved(lenet(flatten=False), Path("net.onnx"))


def _looping() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["same"])], "then", [],
        [helper.make_tensor_value_info("same", TensorProto.FLOAT, None)],
    )  # fmt: skip
    node = helper.make_node("If", ["yes"], ["out"], name="branch", then_branch=body, else_branch=body)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 32, 32]) for name in ("image", "out")]
    saved(model_of([node], ends[:1], ends[1:], [numpy_helper.from_array(np.array(True), "yes")]), Path("net.onnx"))


def _texts() -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.STRING, [1, 3, 32, 32]) for name in ("image", "out")]
    saved(model_of([helper.make_node("Identity", ["image"], ["out"])], ends[:1], ends[1:]), Path("net.onnx"))


def _unfitting() -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 32, 32]) for name in ("image", "out")]
    other = numpy_helper.from_array(np.zeros(5, np.float32), "other")
    saved(
        model_of([helper.make_node("Add", ["image", "other"], ["out"])], ends[:1], ends[1:], [other]), Path("net.onnx")
    )


def _whole_numbers() -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.INT32, [1, 3, 32, 32]) for name in ("image", "out")]
    saved(model_of([helper.make_node("Abs", ["image"], ["out"])], ends[:1], ends[1:]), Path("net.onnx"))


def _air(kind: str, attribute: str, value: bytes) -> None:
    """Write net.air with one thing changed in its operators of type `kind`: an attribute, or else the type."""
    model = parse(to_air(lenet()))
    for op in model.graph[0].op:
        if op.type == kind and attribute:
            op.attr[attribute].s = value
        elif op.type == kind:
            op.type = value.decode()
    Path("net.air").write_bytes(model.SerializeToString())


AIR = ["--model=net.air", "--framework=1", "--output=net", "--soc_version=Ascend310"]
AIPP = "aipp_op { aipp_mode: static input_format: RGB888_U8 src_image_size_w: 32 src_image_size_h: 32 }"
Case = tuple[str, str, Sequence[str], Callable[[], object] | None]
CASES: Sequence[Case] = [
    # code, a word of the message, arguments, preparation
    ("E10001", "--mode", ["--mode=2"], None),
    ("E10001", "Ascend42", [*BASE, "--soc_version=Ascend42"], None),
    ("E10001", "no such file", [*BASE, "--model=none.onnx"], None),
    ("E10001", "folder", [*BASE, "--output=none/net"], None),
    ("E10001", "characters", [*BASE, "--output=a b"], None),
    ("E10001", "NHWC", [*BASE, "--input_format=NHWC"], None),
    ("E10001", "half", [*BASE, "--precision_mode=half"], None),
    ("E10001", "half", [*BASE, "--precision_mode_v2=half"], None),
    ("E10001", "no bfloat16", [*BASE, "--precision_mode=allow_mix_precision_bf16"], None),
    ("E10001", "buffer_optimize", [*BASE, "--buffer_optimize=x"], None),
    ("E10001", "FP8", [*BASE, "--output_type=FP8"], None),
    ("E10001", "--out_nodes", [*BASE, "--output_type=dense3:0:FP16"], None),
    ("E10001", "node:index", [*BASE, "--out_nodes=dense3"], None),
    ("E10001", "1 outputs", [*BASE, "--out_nodes=dense3:1"], None),
    ("E10002", "no name", [*BASE, "--input_shape=1,3,32,32"], None),
    ("E10002", "twice", [*BASE, "--input_shape=image:1;image:1"], None),
    ("E10002", "whole numbers", [*BASE, "--input_shape=image:1,x"], None),
    ("E10002", "no shape", [*BASE, "--input_shape=;"], None),
    ("E10004", "--om", ["--mode=1", "--json=a.json"], None),
    ("E10004", "--json", ["--mode=1", "--om=net.onnx"], None),
    ("E10006", "deterministic", [*BASE, "--deterministic=2"], None),
    ("E10007", "framework", [*BASE, "--framework=4"], None),
    ("E10007", "framework", ["--mode=3", "--model=net.onnx"], None),
    ("E10007", "framework", ["--mode=1", "--om=net.onnx", "--json=a", "--framework=3"], None),
    ("E10008", "--weight", [*BASE, "--framework=0"], None),
    ("E10009", "exclude", [*BASE, "--dynamic_batch_size=1,2", "--dynamic_dims=1;2"], None),
    ("E10010", "loud", [*BASE, "--log=loud"], None),
    ("E10011", "0", [*BASE, "--input_shape=image:0,3,32,32"], None),
    ("E10011", "-1", [*BASE, DYNAMIC], None),
    ("E10012", "no dimension", [*BASE, "--input_shape=image:", "--dynamic_batch_size=1,2"], None),
    ("E10013", "op_debug_level", [*BASE, "--op_debug_level=9"], None),
    ("E10014", "aicore_num", [*BASE, "--aicore_num=many"], None),
    ("E10014", "image", [*BASE, "--input_fp16_nodes=image"], _whole_numbers),
    ("E10016", "picture", [*BASE, "--input_shape=picture:1,3,32,32"], None),
    ("E10016", "picture", [*BASE, "--input_fp16_nodes=picture"], None),
    ("E10017", "conv1", [*BASE, "--input_shape=conv1:1,3,32,32"], None),
    ("E10018", "Dimension 2", [*BASE, "--input_shape=image:-1,3,-1,32", "--dynamic_batch_size=1,2"], None),
    ("E10019", "height and width", [*BASE, DYNAMIC, "--dynamic_image_size=32,32;64,64"], None),
    ("E10020", "32;64", [*BASE, DYNAMIC, "--dynamic_image_size=32;64"], None),
    ("E10021", "4096", [*BASE, f"--output={'a' * 5000}"], None),
    ("E10021", "4096", [*BASE, f"--model={'a' * 5000}"], None),
    ("E10022", "file name", [*BASE, "--output=./"], None),
    ("E10031", "batch -1", [*BASE, SHAPE, "--dynamic_batch_size=1,2"], None),
    ("E10032", "KeyError", [*BASE, "--modify_mixlist=a.json"], _text("a.json", '{"grey-list": {"to-add": []}}')),
    ("E10032", "JSON", [*BASE, "--modify_mixlist=a.json"], _text("a.json", "nothing")),
    ("E10034", "image", [*BASE, "--insert_op_conf=a.cfg", "--input_fp16_nodes=image"], _text("a.cfg", AIPP)),
    ("E10035", "1 gears", [*BASE, DYNAMIC, "--dynamic_batch_size=1"], None),
    ("E10036", "101 gears", [*BASE, DYNAMIC, f"--dynamic_batch_size={','.join(map(str, range(1, 102)))}"], None),
    ("E10037", "2 and 1", [*BASE, DYNAMIC, "--dynamic_dims=1,2;1"], None),
    ("E10038", "x", [*BASE, DYNAMIC, "--dynamic_batch_size=1,x"], None),
    ("E10038", "0", [*BASE, DYNAMIC, "--dynamic_batch_size=1,0"], None),
    ("E10039", "twice", [*BASE, DYNAMIC, "--dynamic_batch_size=2,2"], None),
    ("E10040", "with -1", [*BASE, SHAPE, "--dynamic_dims=1;2"], None),
    ("E10041", "net.onnx", BASE, _text("net.onnx", "this is no model")),
    ("E10041", "net.onnx", BASE, _network(lambda net: net.graph.node[3].ClearField("input"))),
    ("E10041", "a.om", ["--mode=6", "--om=a.om"], _text("a.om", "this is no model")),
    ("E10041", "a.om", ["--mode=1", "--om=a.om", "--json=a.json"], _text("a.om", "this is no model")),
    ("E10045", "more -1", [*BASE, "--input_shape=image:-1,3,-1,32", "--dynamic_dims=1;2"], None),
    ("E10046", "as many -1", [*BASE, DYNAMIC, "--dynamic_dims=1,1;2,2"], None),
    ("E10047", "dynamic_dims", [*BASE, DYNAMIC, "--dynamic_dims=1;2", "--insert_op_conf=a"], None),
    ("E10047", "op_precision_mode", [*BASE, "--op_precision_mode=a", "--op_select_implmode=high_precision"], None),
    ("E10049", "3 dimensions", [*BASE, "--input_shape=image:3,32,32"], None),
    ("E10052", "16x16", [*BASE, "--insert_op_conf=a.cfg"], _text("a.cfg", AIPP.replace("32", "16"))),
    ("E10054", "soc_version", ["--model=net.onnx", "--framework=5", "--output=net"], None),
    ("E10054", "output", ["--soc_version=Ascend310", "--model=net.onnx"], None),
    ("E10054", "model", ["--soc_version=Ascend310", "--output=net"], None),
    ("E10055", "single operators", ["--singleop=a.json"], None),
    ("E10055", "mode 30", ["--mode=30"], None),
    ("E10055", "TensorFlow", [*BASE, "--framework=3"], None),
    ("E10055", "ranges", [*BASE, "--input_shape=image:1~4,3,32,32"], None),
    ("E10055", "ranges", [*BASE, "--input_shape_range=image:[1~4,3,32,32]"], None),
    ("E10055", "in bfloat16", [*BASE, "--soc_version=Ascend910B2", "--precision_mode_v2=mixed_bfloat16"], None),
    ("E10055", "its own", ["--mode=1", "--om=a.om", "--json=b"], lambda: Path("a.om").write_bytes(REAL_OM)),
    ("E10056", "precision_mode_v2", [*BASE, "--precision_mode=force_fp16", "--precision_mode_v2=fp16"], None),
    ("E10057", "op_select_implmode", [*BASE, "--optypelist_for_implmode=Conv"], None),
    ("E10057", "om", ["--mode=6"], None),
    ("E10410", "none.cfg", [*BASE, "--keep_dtype=none.cfg"], None),
    ("E10041", "net.air", ["--mode=0", *AIR], _text("net.air", "this is no AIR")),
    ("E10041", "net.onnx", [*BASE, "--framework=1"], None),
    ("E10055", "data_format", AIR, lambda: _air("Conv2D", "data_format", b"NHWC")),
    ("E10501", "Convolute", AIR, lambda: _air("Conv2D", "", b"Convolute")),
    ("E11005", "image", [*BASE, "--model=open.onnx"], None),
    ("E11017", "dense9", [*BASE, "--out_nodes=dense9:0"], None),
    ("E13001", "none.cfg", [*BASE, "--insert_op_conf=none.cfg"], None),
    ("E13001", "a.cfg", [*BASE, "--keep_dtype=a.cfg"], lambda: Path("a.cfg").write_bytes(b"\xff")),
    ("E13004", "a.json", ["--mode=3", "--model=net.onnx", "--framework=5", "--check_report=a.json"], None),
    ("E13018", "nonsense", [*BASE, "--insert_op_conf=a.cfg"], _text("a.cfg", "aipp_op { nonsense: 1 }")),
    ("E13018", "UTF-8", [*BASE, "--insert_op_conf=a.cfg"], lambda: Path("a.cfg").write_bytes(b"\xff")),
    ("E14001", "Reshape", [*BASE, "--input_shape=image:2,3,32,32"], _reshaped),
    ("E14001", "take 400", [*BASE, "--input_shape=image:1,3,64,64"], None),
    ("E14001", "3 channels", [*BASE, "--input_shape=image:1,4,32,32"], None),
    ("E16001", "operator", BASE, _network(lambda net: net.graph.ClearField("node"))),
    ("E16001", "output", BASE, _network(lambda net: net.graph.ClearField("output"))),
    ("E16002", "Convolute", BASE, _network(lambda net: setattr(net.graph.node[0], "op_type", "Convolute"))),
    ("E16002", "ours::", BASE, _network(lambda net: setattr(net.graph.node[0], "domain", "ours"))),
    ("E16004", "no graph", BASE, _network(lambda net: net.ClearField("graph"))),
    ("E16005", "2 versions", BASE, _network(lambda net: net.opset_import.add(domain="ai.onnx", version=12))),
    ("E19010", "ai.onnx::22::Conv", BASE, _network(lambda net: setattr(net.opset_import[0], "version", 22))),
    ("E19010", "ai.onnx::9::Conv", BASE, _network(lambda net: setattr(net.opset_import[0], "version", 9))),
    ("E19999", "shapes", BASE, _unfitting),
    ("EZ3002", "element type", BASE, _texts),
    ("EZ3003", "branch", BASE, _looping),
]  # fmt: skip
REAL_OM = _real(b"\1\0\0\0\0\0\0\0" + b"\0" * 24, wide=True)


@pytest.mark.parametrize(
    ("code", "word", "arguments", "prepare"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES]
)
def test_each_code_is_raised_and_leaves_no_om(
    code: str,
    word: str,
    arguments: Sequence[str],
    prepare: Callable[[], object] | None,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    if prepare is not None:
        prepare()
    if code == "E13004":
        monkeypatch.setattr("infra.atc.compiling.write_text", _no_space)
    assert emulator.main(arguments) == 255
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("E"))
    assert line.startswith(f"{code}: ")
    assert word in line
    assert not [path for path in folder.iterdir() if path.name == "net.om" or path.name.endswith(".tmp")]


def _no_space(target: Path, _text: str) -> None:
    raise OSError(28, "No space left on device", str(target))


def test_the_table_has_every_code_that_the_stand_in_can_raise():
    raised = set()
    for path in (CHECKOUT / "infra" / "atc").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "AtcError":
                raised |= {
                    item.value
                    for item in ast.walk(node.args[0])
                    if isinstance(item, ast.Constant) and str(item.value) in CODES
                }
    assert raised == {case[0] for case in CASES}


def test_checks_come_in_atcs_order(capsys: pytest.CaptureFixture[str]):
    """Everything is wrong at once; each repair shows the next complaint (ascend-domain.md §3.4, "Check order")."""
    steps = [
        ("E10010", "--log=loud"),
        ("E10054: The required option --soc_version", "--log=null"),
        ("E10054: The required option --output", "--soc_version=Ascend310"),
        ("E10054: The required option --model", "--output=none/"),
        ("E10001: Value [none.onnx]", "--model=none.onnx"),
        ("E10022", "--model=net.onnx"),
        ("E10007", "--output=net"),
        ("E10001: Value [half]", "--framework=5"),
        ("E10009", "--precision_mode=force_fp16"),
        ("E10040", "--dynamic_image_size="),
        ("E13001", "--dynamic_dims="),
        ("E10016", "--insert_op_conf="),
        ("ATC run success", "--input_shape="),
    ]
    arguments = [
        "--precision_mode=half", "--dynamic_image_size=1,1;2,2", "--dynamic_dims=1;2", "--insert_op_conf=none.cfg",
        "--input_shape=picture:1,3,32,32",
    ]  # fmt: skip
    for expected, step in steps:
        arguments.append(step)
        if step == "--dynamic_image_size=":
            arguments.append("--insert_op_conf=")
        if step == "--dynamic_dims=":
            arguments.append("--insert_op_conf=none.cfg")
        emulator.main(arguments)
        assert expected in capsys.readouterr().out


def test_the_weight_option_is_ignored_with_a_warning(capsys: pytest.CaptureFixture[str]):
    compiled(SHAPE, "--weight=none")
    assert "--weight is ignored" in capsys.readouterr().out.splitlines()[-1]


def test_options_that_air_does_not_take_are_ignored_with_a_warning(capsys: pytest.CaptureFixture[str]):
    Path("net.air").write_bytes(to_air(lenet("n"), batch=2))
    ignored = ["--input_shape=picture:7", "--input_fp16_nodes=picture", "--out_nodes=none:0"]
    assert emulator.main([*AIR, *ignored]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[-3:]] == ["--input_shape", "--input_fp16_nodes", "--out_nodes"]
    model = read_om(Path("net.om"))
    assert [(tensor.name, tensor.dims) for tensor in (*model.inputs, *model.outputs)] == [
        ("image", (2, 3, 32, 32)), ("logits:0:logits", (2, 10)),
    ]  # fmt: skip


def test_the_same_network_through_air_and_onnx_computes_the_same():
    Path("net.air").write_bytes(to_air(lenet()))
    image = np.random.default_rng(1).normal(0, 1, (1, 3, 32, 32)).astype(np.float32)
    results = []
    for arguments in (AIR, [*BASE, SHAPE]):
        assert emulator.main(arguments) == 0
        session = onnxruntime.InferenceSession(read_om(Path("net.om")).onnx, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"image": image})[0])
    assert np.array_equal(*results)


def test_mode_3_names_the_operator_of_air_that_is_unknown():
    _air("Conv2D", "", b"Convolute")
    assert emulator.main(["--mode=3", "--model=net.air", "--framework=1"]) == 255
    report = json.loads(Path("check_result.json").read_text())
    assert [op["op_type"] for op in report["op"] if op["result"] == "failed"] == ["Convolute", "Convolute"]


def test_an_om_tells_its_ends():
    model = compiled(SHAPE)
    (image,), (logits,) = model.inputs, model.outputs
    assert (image.name, image.dtype, image.dims, image.format, image.size) == ("image", 0, (1, 3, 32, 32), 0, 12288)
    assert (logits.name, logits.dtype, logits.dims, logits.format, logits.size) == (
        "dense3:0:logits", 0, (1, 10), 2, 40,
    )  # fmt: skip
    assert (model.name, model.soc_version, model.precision_mode) == ("net", "Ascend310", "force_fp16")


def test_dynamic_batch_has_gears_and_their_input():
    model = compiled("--model=open.onnx", DYNAMIC, "--dynamic_batch_size=4,1,8")
    image, gear = model.inputs
    assert (image.dims, image.size) == ((-1, 3, 32, 32), 8 * 12288)
    assert (gear.name, gear.dtype, gear.dims, gear.size) == ("ascend_mbatch_shape_data", 9, (1,), 8)
    assert model.batch_gears == (4, 1, 8)
    assert model.outputs[0].dims == (8, 10)


def test_dynamic_image_size_and_dims_have_gears():
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


def test_mode_1_gives_the_graph_as_json():
    compiled(SHAPE, "--precision_mode=must_keep_origin_dtype")
    assert emulator.main(["--mode=1", "--om=net.om", "--json=om.json"]) == 0
    assert emulator.main(["--mode=1", "--om=net.onnx", "--framework=5", "--json=net.json", "--dump_mode=1"]) == 0
    from_om, from_net = (json.loads(Path(name).read_text())["graph"][0] for name in ("om.json", "net.json"))
    assert [op["type"] for op in from_om["op"]] == [op["type"] for op in from_net["op"]]
    assert (from_om["input"], from_om["output"]) == (["image"], ["logits"])
    assert from_net["op"][0]["output_desc"] == [{"shape": {"dim": [1, 6, 28, 28]}}]


def test_mode_3_writes_a_report_and_no_om(folder: Path):
    arguments = ["--mode=3", "--model=net.onnx", "--framework=5"]
    assert emulator.main(arguments) == 0
    report = json.loads(Path("check_result.json").read_text())
    assert report["result"] == "success"
    assert {op["result"] for op in report["op"]} == {"success"}
    _network(lambda net: setattr(net.graph.node[0], "op_type", "Convolute"))()
    assert emulator.main([*arguments, "--check_report=other.json"]) == 255
    first, second, *_ = json.loads(Path("other.json").read_text())["op"]
    assert (first["op_name"], first["result"], first["cause"][0]["code"]) == ("conv1", "failed", "E16002")
    assert second["result"] == "success"
    assert not list(folder.glob("*.om"))


def test_mode_6_tells_what_an_om_is(capsys: pytest.CaptureFixture[str]):
    compiled("--model=open.onnx", DYNAMIC, "--dynamic_batch_size=1,4", "--display_model_info=1")
    shown = capsys.readouterr().out
    assert emulator.main(["--mode=6", "--om=net.om"]) == 0
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


def test_out_nodes_and_output_types_change_the_outputs():
    model = compiled(SHAPE, "--out_nodes=dense2:0;dense3:0", "--output_type=dense2:0:FP16")
    assert [(out.name, out.dtype, out.size) for out in model.outputs] == [
        ("dense2:0:d2", 1, 168), ("dense3:0:logits", 0, 40),
    ]  # fmt: skip
    assert [out.dtype for out in compiled(SHAPE, "--output_type=FP16").outputs] == [1]


def test_a_full_disk_leaves_no_om(folder: Path):
    """The real command under a limit on the size of files."""
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", sys.executable, "-m", "infra.atc.emulator", *BASE, SHAPE],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 255, done.stderr
    assert "E13004: The file [" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["net.onnx", "open.onnx"]


def test_side_files_tell_of_fusions():
    compiled(SHAPE)
    assert Path("kernel_meta").is_dir()
    (result,) = json.loads(Path("fusion_result.json").read_text())
    assert result["graph_fusion"] == {"ConvBatchnormFusionPass": {"effect_times": "0", "match_times": "0"}}


def test_the_bytes_depend_on_neither_paths_nor_the_exporters_name(folder: Path):
    compiled(SHAPE)
    first = Path("net.om").read_bytes()
    network = lenet()
    network.producer_name, network.graph.doc_string = "somebody", "at noon"
    (folder / "elsewhere").mkdir()
    saved(network, folder / "elsewhere" / "other.onnx")
    compiled(SHAPE, "--model=elsewhere/other.onnx", "--output=elsewhere/net.om")
    assert (folder / "elsewhere" / "net.om").read_bytes() == first
