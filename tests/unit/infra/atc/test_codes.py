"""Each error code of the compiler is raised where it should be, and in the right order."""

import ast
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from infra.atc.codes import CODES
from infra.atc.emulator import command
from infra.atc.generations import GENERATIONS
from tests.unit.infra.atc.emulator.broken import (
    changed,
    changed_air,
    looping,
    reshaped,
    texts,
    unfitting,
    whole_numbers,
    written,
)
from tests.unit.infra.atc.emulator.commands import AIR, BASE, CHECKOUT, DYNAMIC, SHAPE
from tests.unit.infra.atc.emulator.test_om import _real

pytestmark = pytest.mark.usefixtures("folder")

AIPP = "aipp_op { aipp_mode: static input_format: RGB888_U8 src_image_size_w: 32 src_image_size_h: 32 }"


MIXED = ["--precision_mode=allow_mix_precision", "--modify_mixlist=a.json"]
SINGLE = ["--singleop=a.json", "--soc_version=Ascend310"]
_X = '{"format": "ND", "shape": [2], "type": "float32"}'
OPERATOR = f'[{{"op": "Add", "input_desc": [{_X}, {_X}], "output_desc": [{_X}]}}]'


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
    ("E10001", "node:index", [*BASE, "--out_nodes=dense3:x"], None),
    ("E10001", "not both", [*BASE, "--out_nodes=logits;dense3:0"], None),
    ("E11017", "dense3", [*BASE, "--out_nodes=dense3"], None),
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
    ("E10014", "image", [*BASE, "--input_fp16_nodes=image"], whole_numbers),
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
    ("E10032", "KeyError", [*BASE, *MIXED], written("a.json", '{"grey-list": {"to-add": []}}')),
    ("E10032", "JSON", [*BASE, *MIXED], written("a.json", "nothing")),
    ("E10034", "image", [*BASE, "--insert_op_conf=a.cfg", "--input_fp16_nodes=image"], written("a.cfg", AIPP)),
    ("E10035", "1 gears", [*BASE, DYNAMIC, "--dynamic_batch_size=1"], None),
    ("E10036", "101 gears", [*BASE, DYNAMIC, f"--dynamic_batch_size={','.join(map(str, range(1, 102)))}"], None),
    ("E10037", "2 and 1", [*BASE, DYNAMIC, "--dynamic_dims=1,2;1"], None),
    ("E10003", "numbers", [*BASE, DYNAMIC, "--dynamic_dims=1;x"], None),
    ("E10038", "0", [*BASE, DYNAMIC, "--dynamic_batch_size=1,0"], None),
    ("E10039", "twice", [*BASE, DYNAMIC, "--dynamic_batch_size=2,2"], None),
    ("E10040", "with -1", [*BASE, SHAPE, "--dynamic_dims=1;2"], None),
    ("E10041", "net.onnx", BASE, written("net.onnx", "this is no model")),
    ("E10041", "net.onnx", BASE, changed(lambda net: net.graph.node[3].ClearField("input"))),
    ("E10041", "a.om", ["--mode=6", "--om=a.om"], written("a.om", "this is no model")),
    ("E10041", "a.om", ["--mode=1", "--om=a.om", "--json=a.json"], written("a.om", "this is no model")),
    ("E10045", "more -1", [*BASE, "--input_shape=image:-1,3,-1,32", "--dynamic_dims=1;2"], None),
    ("E10046", "as many -1", [*BASE, DYNAMIC, "--dynamic_dims=1,1;2,2"], None),
    ("E10047", "dynamic_dims", [*BASE, DYNAMIC, "--dynamic_dims=1;2", "--insert_op_conf=a"], None),
    ("E10047", "op_precision_mode", [*BASE, "--op_precision_mode=a", "--op_select_implmode=high_precision"], None),
    ("E10049", "3 dimensions", [*BASE, "--input_shape=image:3,32,32"], None),
    ("E10052", "16x16", [*BASE, "--insert_op_conf=a.cfg"], written("a.cfg", AIPP.replace("32", "16"))),
    ("E10054", "soc_version", ["--model=net.onnx", "--framework=5", "--output=net"], None),
    ("E10054", "output", ["--soc_version=Ascend310", "--model=net.onnx"], None),
    ("E10054", "model", ["--soc_version=Ascend310", "--output=net"], None),
    ("E10054", "soc_version", ["--singleop=a.json"], None),
    ("E10055", "not Conv2D", [*SINGLE, "--output=ops"], written("a.json", OPERATOR.replace("Add", "Conv2D"))),
    ("E10032", "a.json", [*SINGLE, "--output=ops"], written("a.json", "{")),
    ("E14001", "Add", [*SINGLE, "--output=ops"], written("a.json", OPERATOR.replace("[2]", "[3]", 1))),
    ("E10055", "mode 7", ["--mode=7"], None),
    ("E10001", "allow_mix_precision", [*BASE, "--modify_mixlist=net.onnx"], None),
    ("E10001", "CANN 8.0", [*BASE, "--soc_version=Ascend950"], None),
    ("E10001", "no bfloat16", [*BASE, "--soc_version=Ascend310P3", "--precision_mode_v2=mixed_bfloat16"], None),
    ("E10003", "numbers", [*BASE, DYNAMIC, "--dynamic_batch_size=1, 2"], None),
    ("E10005", "save_original_model", [*BASE, "--save_original_model=yes"], None),
    ("E10013", "input_shape", [*BASE, "--input_shape=image:99999999999999999999,3,32,32"], None),
    ("E10013", "dynamic_dims", [*BASE, DYNAMIC, "--dynamic_dims=1;99999999999999999999"], None),
    ("E10055", "sparsity", [*BASE, SHAPE, "--sparsity=1"], None),
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
    ("E10041", "net.air", ["--mode=0", *AIR], written("net.air", "this is no AIR")),
    ("E10041", "net.onnx", [*BASE, "--framework=1"], None),
    ("E10055", "data_format", AIR, lambda: changed_air("Conv2D", "data_format", b"NHWC")),
    ("E10501", "Convolute", AIR, lambda: changed_air("Conv2D", "", b"Convolute")),
    ("E11005", "image", [*BASE, "--model=open.onnx"], None),
    ("E11017", "dense9", [*BASE, "--out_nodes=dense9:0"], None),
    ("E13001", "none.cfg", [*BASE, "--insert_op_conf=none.cfg"], None),
    ("E13001", "a.cfg", [*BASE, "--keep_dtype=a.cfg"], lambda: Path("a.cfg").write_bytes(b"\xff")),
    ("E13004", "a.json", ["--mode=3", "--model=net.onnx", "--framework=5", "--check_report=a.json"], None),
    ("E13018", "nonsense", [*BASE, "--insert_op_conf=a.cfg"], written("a.cfg", "aipp_op { nonsense: 1 }")),
    ("E13018", "UTF-8", [*BASE, "--insert_op_conf=a.cfg"], lambda: Path("a.cfg").write_bytes(b"\xff")),
    ("E14001", "Reshape", [*BASE, "--input_shape=image:2,3,32,32"], reshaped),
    ("E14001", "take 400", [*BASE, "--input_shape=image:1,3,64,64"], None),
    ("E14001", "3 channels", [*BASE, "--input_shape=image:1,4,32,32"], None),
    ("E16001", "operator", BASE, changed(lambda net: net.graph.ClearField("node"))),
    ("E16001", "input", BASE, changed(lambda net: net.graph.ClearField("input"))),
    ("E16001", "output", BASE, changed(lambda net: net.graph.ClearField("output"))),
    ("E19010", "ai.onnx::11::Convolute", BASE, changed(lambda net: setattr(net.graph.node[0], "op_type", "Convolute"))),
    ("E19010", "ours::", BASE, changed(lambda net: setattr(net.graph.node[0], "domain", "ours"))),
    ("E16004", "no graph", BASE, changed(lambda net: net.ClearField("graph"))),
    ("E16005", "2 versions", BASE, changed(lambda net: net.opset_import.add(domain="ai.onnx", version=12))),
    ("E19010", "ai.onnx::22::Conv", BASE, changed(lambda net: setattr(net.opset_import[0], "version", 22))),
    ("E19010", "ai.onnx::7::Conv", BASE, changed(lambda net: setattr(net.opset_import[0], "version", 7))),
    ("E19999", "shapes", BASE, unfitting),
    ("EZ3002", "element type", BASE, texts),
    ("EZ3003", "branch", BASE, looping),
]  # fmt: skip


REAL_OM: bytes = _real(b"\1\0\0\0\0\0\0\0" + b"\0" * 24, wide=True)


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
) -> None:
    if prepare is not None:
        prepare()
    if code == "E13004":
        monkeypatch.setattr("infra.atc.emulator.compiler.write_text", _no_space)
    assert command.main(arguments) == 255
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("E"))
    assert line.startswith(f"{code}: ")
    assert word in line
    assert not [path for path in folder.iterdir() if path.name == "net.om" or path.name.endswith(".tmp")]


def _no_space(target: Path, _text: str) -> None:
    raise OSError(28, "No space left on device", str(target))


def test_the_table_has_every_code_that_the_stand_in_can_raise() -> None:
    raised = set()
    for path in (CHECKOUT / "infra" / "atc").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "AtcError":
                raised |= {
                    item.value
                    for item in ast.walk(node.args[0])
                    if isinstance(item, ast.Constant) and str(item.value) in CODES
                }
    raised |= {cann.unknown_operator for cann in GENERATIONS.values()}
    assert raised == {case[0] for case in CASES} | {"E16002"}  # newer generations: test_flags


def test_checks_come_in_atcs_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is wrong at once; each repair shows the next complaint (docs/reference/atc.md §3.4, "Check order")."""
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
        command.main(arguments)
        assert expected in capsys.readouterr().out
