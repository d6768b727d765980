import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.failures import InputError
from models.files import checkpoint_at
from tests.unit.models.training import torch_files

pytestmark = pytest.mark.mindspore

# How other implementations call the parts; "{}" is the number of a block's convolution.
PARTS = ("stem.conv", "stem.norm", "conv", "norm", "shortcut.conv", "shortcut.norm", "head")
NAMES = {
    "model zoo": "conv1 bn1 conv{} bn{} down_sample_layer.0 down_sample_layer.1 end_point",
    "mindcv": "conv1 bn1 conv{} bn{} down_sample.0 down_sample.1 classifier",
    "tutorial": "conv1 norm conv{} norm{} down_sample.0 down_sample.1 fc",
    "mindvision": "backbone.conv1.features.0 backbone.conv1.features.1 conv{}.features.0 conv{}.features.1 "
    "down_sample.features.0 down_sample.features.1 head.dense",
    "torch": "conv1 bn1 conv{} bn{} downsample.0 downsample.1 fc",
}
STYLES = {style: dict(zip(PARTS, names.split(), strict=True)) for style, names in NAMES.items()}
STYLES["mindvision"]["layer"] = "backbone.layer"
STYLES["torch"] |= {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}

# Prints what each parameter is called in another style, and what that is taken for; also writes a checkpoint with a
# network's own values under those names, and a head of three, when there is a path for it.
PROGRAM = """
import json, re, sys
from models.training import runtime
runtime.prepare(5)
import mindspore
import numpy as np
from models.networks import resnet
from models.spec.recipes import from_json
spec = from_json(sys.argv[1])
style, path, left_out = json.loads(sys.argv[2]), sys.argv[3], sys.argv[4]
places = [(stage + 1, index) for stage, depth in enumerate(resnet._depths(spec.network)) for index in range(depth)]
names, values = [], {}
for parameter in resnet.build(spec).get_parameters():
    *parts, last = parameter.name.split(".")
    before = []
    if parts[0] == "blocks":
        stage, index = places[int(parts[1])]
        before, parts = [style.get("layer", "layer") + str(stage), str(index)], parts[2:]
    part = ".".join(parts)
    numbered = re.fullmatch(r"(conv|norm)(\\d)", part)
    theirs = style[numbered[1]].format(numbered[2]) if numbered else style[part]
    name = ".".join([*before, theirs, style.get(last, last)])
    names.append([parameter.name, name, resnet.native_name(spec, name)])
    value = parameter.asnumpy()
    values[name] = value[:3] if part == "head" else value
values["global_step"] = np.zeros(1, np.float32)
values.pop(left_out, None)
if path:
    listed = [{"name": name, "data": mindspore.Tensor(value)} for name, value in values.items()]
    mindspore.save_checkpoint(listed, path, format="safetensors" if path.endswith("safetensors") else "ckpt")
print(json.dumps(names))
"""
SPEC = json.dumps({"network": "resnet18", "stem": "3x3", "width": 0.125, "epochs": 1, "batch_size": 50})


@pytest.fixture
def rename(run: Any, tmp_path: Path) -> Any:
    """Names, and a checkpoint when there is a path for it, in another style."""
    script = tmp_path / "rename.py"
    script.write_text(PROGRAM)

    def renamer(spec: Any, style: Any, path: str = "", left_out: str = "") -> Any:
        done = run(spec, json.dumps(STYLES[style]), path, left_out, main=script)
        assert done.code == 0, done.errors
        return json.loads(done.lines[-1])

    return renamer


@pytest.mark.parametrize("style", STYLES)
def test_every_name_of_every_style_is_understood(rename: Any, style: Any) -> None:
    names = rename(json.dumps({"network": "resnet50", "width": 0.125}), style)
    assert len(names) == 267
    assert [[ours, taken] for ours, _, taken in names if taken != ours] == []


@pytest.mark.parametrize(("style", "name"), [("mindvision", "vision.ckpt"), ("torch", "torch.safetensors")])
def test_foreign_names_are_understood_and_the_head_is_replaced(
    run: Any, rename: Any, data: Any, tmp_path: Path, style: str, name: str
) -> None:
    rename(SPEC, style, tmp_path / name)
    start = ("train", "--data_url", data, "--spec", SPEC)
    done = run(*start, "--train_url", tmp_path / "out", "--pretrain_url", tmp_path / name)
    assert done.code == 0, done.errors
    report = json.loads((tmp_path / "out" / "pretrained.json").read_text())
    assert len(report["matched"]) == 100
    assert report["other_shape"] == ["head.weight", "head.bias"]
    assert report["missing"] == []
    assert report["unused"] == ["global_step"]
    fresh = run(*start, "--train_url", tmp_path / "fresh")
    assert fresh.code == 0
    digests = [
        json.loads((tmp_path / folder / "result.json").read_text())["parameters_sha256"] for folder in ("out", "fresh")
    ]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(("left_out", "code"), [("layer2.0.downsample.0.weight", 2), ("fc.bias", 0)])
def test_only_the_head_may_be_missing(
    run: Any, rename: Any, data: Any, tmp_path: Path, left_out: str, code: int
) -> None:
    checkpoint = tmp_path / "torch.safetensors"
    rename(SPEC, "torch", checkpoint, left_out)
    start = ("train", "--data_url", data, "--spec", SPEC, "--train_url", tmp_path / "out")
    done = run(*start, "--pretrain_url", checkpoint)
    assert done.code == code, done.errors
    if code:
        message = str(done.events("error")[0]["message"])
        assert message.endswith("lacks 1 parameters of the network: blocks.2.shortcut.conv.weight")
    else:
        assert json.loads((tmp_path / "out" / "pretrained.json").read_text())["missing"] == ["head.bias"]


def test_a_lenet_goes_on_from_its_own_checkpoint(run: Any, data: Any, tmp_path: Path) -> None:
    spec = json.dumps({"epochs": 1, "batch_size": 20, "learning_rate": 1e-9})
    start = ("train", "--data_url", data, "--spec", spec)
    first = run(*start, "--train_url", tmp_path / "one")
    assert first.code == 0
    checkpoint = tmp_path / "one" / "checkpoint.ckpt"
    seeded = json.dumps({**json.loads(spec), "seed": 9})
    arguments = ("train", "--data_url", data, "--spec", seeded, "--train_url", tmp_path / "two")
    done = run(*arguments, "--pretrain_url", checkpoint)
    assert done.code == 0, done.errors
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two")]
    assert results[1]["evaluation_loss"] == pytest.approx(results[0]["evaluation_loss"], rel=1e-4)


def test_a_head_that_would_fit_is_left_out_when_asked(run: Any, data: Any, tmp_path: Path) -> None:
    spec = {"epochs": 1, "batch_size": 20}
    start = ("train", "--data_url", data, "--spec")
    assert run(*start, json.dumps(spec), "--train_url", tmp_path / "one").code == 0
    again = json.dumps({**spec, "new_head": True})
    done = run(*start, again, "--train_url", tmp_path / "two", "--pretrain_url", tmp_path / "one" / "checkpoint.ckpt")
    assert done.code == 0, done.errors
    report = json.loads((tmp_path / "two" / "pretrained.json").read_text())
    assert len(report["left_out"]) == 2
    assert {name.rpartition(".")[2] for name in report["left_out"]} == {"weight", "bias"}
    assert not set(report["left_out"]) & set(report["matched"])
    assert (len(report["matched"]), report["missing"], report["unused"]) == (6, [], [])


def test_a_folder_stands_for_the_one_checkpoint_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "README").write_text("not this")
    with pytest.raises(InputError, match="has: none"):
        checkpoint_at(folder)
    (folder / "start.safetensors").write_bytes(b"")
    assert checkpoint_at(folder) == folder / "start.safetensors"
    (folder / "other.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match=r"has: other.ckpt, start.safetensors"):
        checkpoint_at(folder)
    assert checkpoint_at(folder / "other.ckpt") == folder / "other.ckpt"


def state_of(folder: Path) -> Any:
    """The parameters after the last complete epoch."""
    with np.load(folder / "state" / "last.npz", allow_pickle=False) as state:
        own = (name for name in state.files if "." in name)
        return {name: state[name] for name in own if name.partition(".")[0] not in ("moments", "accum", "stat")}


def test_first_the_head_learns_and_then_all_layers(run: Any, kill_training: Any, data: Any, tmp_path: Path) -> None:
    spec = {"network": "compact", "width": 0.125, "batch_size": 50, "epochs": 1, "nesterov": True}
    start = ("train", "--data_url", data, "--spec")
    done = run(*start, json.dumps(spec), "--train_url", tmp_path / "base")
    assert done.code == 0, done.errors
    transfer = json.dumps({**spec, "epochs": 3, "freeze_epochs": 1, "body_rate": 0.1, "new_head": True, "seed": 4})
    (tmp_path / "BASE.CKPT").write_bytes((tmp_path / "base" / "checkpoint.ckpt").read_bytes())
    begin = ("--pretrain_url", tmp_path / "BASE.CKPT")
    kill_training(data, tmp_path / "cut", transfer, *begin)
    base, frozen = state_of(tmp_path / "base"), state_of(tmp_path / "cut")
    body = [name for name in base if not name.startswith("head.") and name in frozen]
    assert len([name for name in body if name.endswith("moving_mean")]) == 10
    for name in body:
        np.testing.assert_array_equal(frozen[name], base[name], name)
    assert (frozen["head.weight"] != base["head.weight"]).any()
    folders = {name: tmp_path / name for name in ("cut", "whole")}
    for folder in folders.values():
        again = run(*start, transfer, "--train_url", folder, *begin)
        assert again.code == 0, again.errors
    results = {name: json.loads((folder / "result.json").read_text()) for name, folder in folders.items()}
    assert results["cut"] == results["whole"]
    ended = state_of(folders["whole"])
    assert all((ended[name] != base[name]).any() for name in body if name.endswith("weight"))


@pytest.mark.parametrize("wrapper", ["network", "module", "model.backbone"])
def test_the_prefix_of_a_wrapper_is_no_part_of_a_name(wrapper: str) -> None:
    from models.training import weights

    names = ("conv1.weight", "fc.bias")
    values = {f"{wrapper}.{name}": np.zeros(1, np.float32) for name in names} | {"global_step": np.zeros(1)}
    *_, last = weights.unwrapped(values)
    assert set(last) == {*names, "global_step"}


def test_initial_values_come_from_pytorch_and_onnx(run: Any, data: Any, tmp_path: Path) -> None:
    spec = {"epochs": 1, "batch_size": 20, "learning_rate": 1e-9}
    start = ("train", "--data_url", data, "--spec", json.dumps(spec))
    assert run(*start, "--train_url", tmp_path / "one").code == 0
    values = state_of(tmp_path / "one")
    torch = {"epoch": 1, "state_dict": torch_files.state({f"module.{name}": value for name, value in values.items()})}
    torch_files.write_archive(tmp_path / "w.pth", torch)
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [], tensors)), tmp_path / "w.onnx")
    values["fc2.weight"] = np.full_like(values["fc2.weight"], np.nan)
    torch_files.write_stream(tmp_path / "nan.pth", torch_files.state(values))
    for name in ("w.pth", "w.onnx", "nan.pth"):
        done = run(*start, "--train_url", tmp_path / f"of-{name}", "--pretrain_url", tmp_path / name)
        if name == "nan.pth":
            assert done.code == 2
            assert "parameter fc2.weight has " in str(done.events("error")[0]["message"])
            continue
        assert done.code == 0, done.errors
        results = [json.loads((tmp_path / folder / "result.json").read_text()) for folder in ("one", f"of-{name}")]
        assert results[1]["evaluation_loss"] == pytest.approx(results[0]["evaluation_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "content", "code", "word"),
    [
        ("none.ckpt", None, 2, "does not exist"),
        ("bad.ckpt", b"junk", 6, "cannot be read"),
        ("bad.safetensors", b"junk", 6, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(
    run: Any, data: Any, tmp_path: Path, name: str, content: Any, code: int, word: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run(
        *("train", "--data_url", data, "--spec", SPEC, "--train_url", tmp_path / "out"),
        *("--pretrain_url", tmp_path / name),
    )
    assert done.code == code
    assert word in str(done.events("error")[0]["message"])
