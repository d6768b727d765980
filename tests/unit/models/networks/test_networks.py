import json
import math
from pathlib import Path
from typing import Any

import pytest

from models.failures import SpecError
from models.networks.registry import NETWORKS, check_network
from models.spec.train_spec import TrainSpec, with_fields

# Parameters of ten classes: docs/reference/tutorials.md T4; He et al. 2015 table 6 (0.27, 0.46, 0.66, 0.85 M); the
# others are the counts of the usual 1,000-class networks (11.69, 21.80, 25.56, 44.55 M, 3.50 M) with a head of ten.
# Compact is ours.
COUNTS = {
    "lenet5": 61_984,
    "compact": 278_810,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet18": 11_181_642,
    "resnet34": 21_289_802,
    "resnet50": 23_528_522,
    "resnet101": 42_520_650,
    "fast94": 1_971_328,  # below
    "mobilenetv2": 2_236_682,  # 3,504,872 with a head of 1,000
}

PROGRAM = """
import importlib, json, sys
import numpy as np
from models.training import runtime
runtime.prepare(1)
import mindspore
from models.networks.registry import module_of
from models.spec.recipes import from_json
found = []
for text in json.loads(sys.argv[1]):
    spec = from_json(json.dumps(text))
    network = importlib.import_module(module_of(spec.network)).build(spec)
    network.set_train(False)
    shape = None
    if text.get("run", True):
        image = np.zeros((2, 3, spec.image_size, spec.image_size), np.float32)
        shape = network(mindspore.Tensor(image)).shape
    found.append({
        "count": sum(p.size for p in network.trainable_params()),
        "shape": shape,
        "parameters": {p.name: [list(p.shape), float(p.asnumpy().mean()), float(p.asnumpy().std())]
                       for p in network.trainable_params()},
    })
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory, run: Any) -> Any:
    script = tmp_path_factory.mktemp("program") / "look.py"
    script.write_text(PROGRAM)

    def looker(*specs: Any) -> Any:
        done = run(json.dumps(specs), main=script)
        assert done.code == 0, done.errors
        return json.loads(done.lines[-1])

    return looker


@pytest.mark.mindspore
def test_parameter_counts_are_those_of_the_papers(look: Any) -> None:
    found = look(*({"network": name} for name in COUNTS))
    assert {name: item["count"] for name, item in zip(COUNTS, found, strict=True)} == COUNTS
    assert all(item["shape"] == [2, 10] for item in found)


@pytest.mark.mindspore
def test_the_compact_network_has_the_shape_that_it_promises(look: Any) -> None:
    found = look({"network": "compact"}, {"network": "compact", "width": 0.5, "image_size": 48, "classes": 4})
    parameters = found[0]["parameters"]
    assert parameters["stem.conv.weight"][0] == [16, 3, 3, 3]
    assert parameters["pair3.second.conv.weight"][0] == [80, 80, 3, 3]
    assert parameters["unit2.conv.weight"][2] == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)
    assert found[1]["parameters"]["head.weight"][0] == [4, 40]
    assert found[1]["shape"] == [2, 4]


def test_every_network_is_counted() -> None:
    assert set(COUNTS) == set(NETWORKS)


@pytest.mark.mindspore
def test_shapes_follow_the_specification(look: Any) -> None:
    found = look(
        {"network": "resnet18", "stem": "3x3", "classes": 7},
        {"network": "resnet20", "width": 2, "image_size": 48},
        {"network": "lenet5", "width": 0.5, "image_size": 28},
        {"network": "resnet50", "image_size": 224},
    )
    small, wide, narrow, large = found
    assert small["parameters"]["stem.conv.weight"][0] == [64, 3, 3, 3]
    assert small["shape"] == [2, 7]
    assert wide["parameters"]["head.weight"][0] == [10, 128]
    assert narrow["parameters"]["conv2.weight"][0] == [8, 3, 5, 5]
    assert narrow["parameters"]["fc1.weight"][0] == [60, 8 * 4 * 4]
    assert large["shape"] == [2, 10]
    assert large["count"] == COUNTS["resnet50"]


def torchvision_names() -> list[str]:
    """What torchvision calls the parameters of MobileNetV2, in order."""
    names = []

    def add(conv: str, norm: str) -> None:
        statistics = ("weight", "bias", "running_mean", "running_var")
        names.extend([f"{conv}.weight", *(f"{norm}.{part}" for part in statistics)])

    add("features.0.0", "features.0.1")
    for block in range(1, 18):
        units = 1 if block == 1 else 2
        for unit in range(units):
            add(f"features.{block}.conv.{unit}.0", f"features.{block}.conv.{unit}.1")
        add(f"features.{block}.conv.{units}", f"features.{block}.conv.{units + 1}")
    add("features.18.0", "features.18.1")
    return [*names, "classifier.1.weight", "classifier.1.bias"]


@pytest.mark.mindspore
def test_mobilenet_has_widths_sizes_and_the_names_of_torchvision(look: Any, run: Any, tmp_path: Path) -> None:
    small, wide, large = look(
        {"network": "mobilenetv2", "width": 0.35, "classes": 3},
        {"network": "mobilenetv2", "width": 1.4},
        {"network": "mobilenetv2", "image_size": 224, "width": 0.5},
    )
    assert (small["shape"], large["shape"]) == ([2, 3], [2, 10])
    assert small["parameters"]["head.weight"][0] == [3, 1280]
    assert wide["parameters"]["head.weight"][0] == [10, 1792]
    assert small["parameters"]["stem.conv.weight"][0] == [16, 3, 3, 3]
    assert small["parameters"]["blocks.1.depth.conv.weight"][0] == [48, 1, 3, 3]
    script = tmp_path / "names.py"
    script.write_text(
        "import json, sys\nfrom models.networks import mobilenet\n"
        "print(json.dumps([mobilenet.native_name(None, name) for name in json.loads(sys.argv[1])]))\n"
    )
    theirs = set(json.loads(run(json.dumps(torchvision_names()), main=script).lines[-1]))
    statistics = {name for name in theirs if name.endswith(("moving_mean", "moving_variance"))}
    assert theirs - statistics == set(large["parameters"])
    assert len(statistics) == 2 * 52


@pytest.mark.mindspore
def test_initial_values_are_those_of_the_paper(look: Any) -> None:
    parameters = look({"network": "resnet20"})[0]["parameters"]
    for name, (shape, mean, deviation) in parameters.items():
        if name.endswith(("conv1.weight", "conv2.weight")):
            expected = (2 / (shape[1] * 9)) ** 0.5
            assert deviation == pytest.approx(expected, rel=0.06), name
            assert abs(mean) < 0.06 * expected, name
        elif name.endswith("gamma"):
            assert (mean, deviation) == (1.0, 0.0)
        elif name.endswith("beta"):
            assert (mean, deviation) == (0.0, 0.0)


def pytorch_uniform(inputs: Any) -> Any:
    """MindSpore's default for dense layers and convolutions: uniform to one over the root of the inputs."""
    return (1 / (3 * inputs)) ** 0.5


@pytest.mark.mindspore
def test_every_layer_of_every_family_is_initialised_as_documented(look: Any) -> None:
    """He et al. 2015 for the convolutions of the residual networks, the stem and the 1×1 projections included."""
    for network in look({"network": "resnet18", "stem": "3x3"}, {"network": "resnet20"}):
        for name, (shape, mean, deviation) in network["parameters"].items():
            size = math.prod(shape)
            if name == "head.bias":
                assert deviation < 2 * pytorch_uniform(network["parameters"]["head.weight"][0][1]), name
            elif name == "head.weight" or len(shape) == 4:
                inputs = math.prod(shape[1:])
                expected = pytorch_uniform(inputs) if name == "head.weight" else (2 / inputs) ** 0.5
                assert deviation == pytest.approx(expected, rel=5 / size**0.5), name
                assert abs(mean) < 5 * expected / size**0.5, name
    lenet = look({"network": "lenet5"})[0]["parameters"]
    weights = {name: value for name, value in lenet.items() if name.endswith("weight")}
    assert len(weights) == 5
    for name, (shape, mean, deviation) in weights.items():
        expected, size = pytorch_uniform(math.prod(shape[1:])), math.prod(shape)
        assert deviation == pytest.approx(expected, rel=4 / size**0.5), name
        assert abs(mean) < 4 * expected / size**0.5, name


@pytest.mark.mindspore
@pytest.mark.parametrize("stem", ["native", "3x3"])
def test_the_networks_of_bottlenecks_start_like_the_tutorial_s(look: Any, stem: str) -> None:
    """MindSpore 1, model_zoo/official/cv/resnet: normal with deviation 0.01; each residual branch starts as 0."""
    parameters = look({"network": "resnet50", "stem": stem})[0]["parameters"]
    for name, (shape, mean, deviation) in parameters.items():
        size = math.prod(shape)
        if name.endswith(".weight"):
            assert deviation == pytest.approx(0.01, rel=5 / size**0.5), name
            assert abs(mean) < 5 * 0.01 / size**0.5, name
        else:
            first = 1.0 if name.endswith(".gamma") and ".norm3." not in name else 0.0
            assert (mean, deviation) == (first, 0.0), name


def shapes(run: Any, folder: Any, **spec: Any) -> Any:
    done = run("describe", "--spec", json.dumps(spec), "--output", folder)
    assert done.code == 0, done.errors
    rows = json.loads((folder / "network.json").read_text())["layers"]
    return {row["name"]: row["shape"][1:] for row in rows}


@pytest.mark.mindspore
def test_the_stages_of_resnet20_are_those_of_the_paper(run: Any, tmp_path: Path) -> None:
    """He et al. 2015 §4.2: 32, 16 and 8 pixels with 16, 32 and 64 channels, 2n layers each."""
    found = shapes(run, tmp_path, network="resnet20")
    stages = [[16, 32, 32]] * 3 + [[32, 16, 16]] * 3 + [[64, 8, 8]] * 3
    assert found["stem.norm"] == [16, 32, 32]
    for index, shape in enumerate(stages):
        assert found[f"blocks.{index}.conv1"] == found[f"blocks.{index}.norm2"] == shape
    assert "blocks.9.conv1" not in found
    assert found["head"] == [10]


@pytest.mark.mindspore
def test_the_stages_of_resnet50_are_those_of_the_paper(run: Any, tmp_path: Path) -> None:
    """He et al. 2015 table 1 at 224 pixels; the 3×3 convolution has the stride."""
    found = shapes(run, tmp_path, network="resnet50", image_size=224)
    assert (found["stem.conv"], found["stem.pool"]) == ([64, 112, 112], [64, 56, 56])
    depths, channels, pixels = (3, 4, 6, 3), (256, 512, 1024, 2048), (56, 28, 14, 7)
    stages = [(stage, index) for stage, depth in enumerate(depths) for index in range(depth)]
    for block, (stage, index) in enumerate(stages):
        size, inner = pixels[stage], channels[stage] // 4
        before = pixels[max(stage - 1, 0)] if index == 0 else size
        assert found[f"blocks.{block}.conv1"] == [inner, before, before]
        assert found[f"blocks.{block}.conv2"] == [inner, size, size]
        assert found[f"blocks.{block}.norm3"] == [4 * inner, size, size]
        assert (f"blocks.{block}.shortcut.conv" in found) == (index == 0)
    assert found["head"] == [10]


@pytest.mark.mindspore
def test_a_residual_network_has_three_or_four_stages(run: Any, tmp_path: Path) -> None:
    """docs/reference/tutorials.md T0 refuses lists of blocks of another length."""
    program = tmp_path / "stages.py"
    program.write_text(
        "from models.training import runtime\n"
        "runtime.prepare(1)\n"
        "from models.networks import resnet\n"
        "for depths in ((1,), (1, 1), (1, 1, 1), (1, 1, 1, 1), (1,) * 5):\n"
        "    try:\n"
        "        resnet.ResNet(resnet.Basic, depths, width=8, kernel=3, shortcut=resnet.Padding, classes=10)\n"
        "        print('built')\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    done = run(main=program)
    assert done.code == 0, done.errors
    refused = "a residual network has three or four stages, not"
    assert done.lines == [f"{refused} 1", f"{refused} 2", "built", "built", f"{refused} 5"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"network": "resnet20", "stem": "7x7"}, "stem"),
        ({"network": "lenet5", "image_size": 224}, "image_size"),
        ({"network": "resnet50", "image_size": 8}, "image_size"),
        ({"network": "resnet51"}, "network"),
    ],
)
def test_what_a_network_cannot_be_is_refused(values: Any, field: str) -> None:
    with pytest.raises(SpecError, match=f"^{field}: "):
        check_network(with_fields(TrainSpec(), values))
