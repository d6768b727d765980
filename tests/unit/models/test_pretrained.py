import json

import pytest

from models.failures import InputError
from models.files import checkpoint_at

pytestmark = pytest.mark.mindspore

# Writes a checkpoint with a network's own values under the names of another implementation, and a head of three.
PROGRAM = """
import json, re, sys
from models import runtime
runtime.prepare(5)
import mindspore
import numpy as np
from models.networks import resnet
from models.spec import from_json
spec = from_json(sys.argv[1])
style, path = sys.argv[2:]
values = {}
for parameter in resnet.build(spec).get_parameters():
    name, value = parameter.name, parameter.asnumpy()
    if name.startswith("head"):
        value = value[:3]
    name = re.sub("^stem.conv", "conv1", name)
    name = re.sub("^stem.norm", "bn1", name)
    block = re.match(r"blocks\\.(\\d+)\\.(.*)", name)
    if block:
        number = int(block[1])
        name = f"layer{number // 2 + 1}.{number % 2}.{block[2]}"
    zoo = style == "zoo"
    name = re.sub(r"shortcut\\.conv", "down_sample_layer.0" if zoo else "downsample.0", name)
    name = re.sub(r"shortcut\\.norm", "down_sample_layer.1" if zoo else "downsample.1", name)
    name = re.sub(r"\\.norm(\\d)", r".bn\\1", name)
    name = name.replace("head", "end_point" if zoo else "fc")
    if not zoo:
        for ours, theirs in (("gamma", "weight"), ("beta", "bias"), ("moving_mean", "running_mean"),
                             ("moving_variance", "running_var")):
            name = name.replace(ours, theirs)
    values[name] = value
values["global_step"] = np.zeros(1, np.float32)
listed = [{"name": name, "data": mindspore.Tensor(value)} for name, value in values.items()]
mindspore.save_checkpoint(listed, path, format="safetensors" if path.endswith("safetensors") else "ckpt")
"""
SPEC = json.dumps({"network": "resnet18", "stem": "3x3", "width": 0.125, "epochs": 1, "batch_size": 50})


@pytest.mark.parametrize(("style", "name"), [("zoo", "zoo.ckpt"), ("torch", "torch.safetensors")])
def test_foreign_names_are_understood_and_the_head_is_replaced(run, data, tmp_path, style, name):
    script = tmp_path / "write.py"
    script.write_text(PROGRAM)
    written = run(SPEC, style, tmp_path / name, main=script)
    assert written.code == 0, written.errors
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


def test_a_lenet_goes_on_from_its_own_checkpoint(run, data, tmp_path):
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


def test_a_folder_stands_for_the_one_checkpoint_in_it(tmp_path):
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "README").write_text("not this")
    with pytest.raises(InputError, match="not: none"):
        checkpoint_at(folder)
    (folder / "start.safetensors").write_bytes(b"")
    assert checkpoint_at(folder) == folder / "start.safetensors"
    (folder / "other.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match=r"not: other.ckpt, start.safetensors"):
        checkpoint_at(folder)
    assert checkpoint_at(folder / "other.ckpt") == folder / "other.ckpt"


@pytest.mark.parametrize(
    ("name", "content", "code", "word"),
    [
        ("none.ckpt", None, 2, "no checkpoint"),
        ("bad.ckpt", b"junk", 6, "cannot be read"),
        ("bad.safetensors", b"junk", 6, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(run, data, tmp_path, name, content, code, word):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run(
        *("train", "--data_url", data, "--spec", SPEC, "--train_url", tmp_path / "out"),
        *("--pretrain_url", tmp_path / name),
    )
    assert done.code == code
    assert word in str(done.events("error")[0]["message"])
