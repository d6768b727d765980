import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.mindspore

SPEC = json.dumps({"network": "lenet5", "epochs": 1, "batch_size": 20})


def test_operators_are_told_apart_by_layer_and_direction() -> None:
    from models.training.step_profile import parts, read_operator

    lines = (
        "Default/network-Net/unit1-Unit/conv-Conv2d/conv2d-Convolution/Custom-op0;HostCpuOps;100,2.0,0 900,4.0,0 ",
        "Default/loss-Loss/OneHot-op0;HostCpuOps;50,0.5,0 850,0.5,0 ",
        "Default/loss-Loss/SoftmaxCrossEntropyWithLogits-op0;HostCpuOps;200,1.0,0 1000,1.0,0 ",
        "Default/network-Net/unit1-Unit/conv-Conv2d/conv2d-Convolution/Custom-op1;HostCpuOps;300,6.0,0 1100,6.0,0 ",
        "Gradients/Default/network-Net/unit1-Unit/relu-ReLU/Grad_ReLU/ReluGrad-op7;HostCpuOps;280,1.0,0 1080,1.0,0 ",
        "Gradients/Default/network-Net/fc-Dense/Grad_MatMul/MatMul-op0;HostCpuOps;250,3.0,0 1050,3.0,0 ",
        "Default/optimizer-SGD/SGD-op0;HostCpuOps;400,0.25,0 1200,0.75,0 ",
        "Expand/_Muls/Mul-op0;HostCpuOps;150,0.125,0 950,0.125,0 ",
    )
    times = parts([read_operator(line) for line in lines])
    assert {name: (layer.forward, layer.backward) for name, layer in times.layers.items()} == {
        "unit1.conv": (3.0, 6.0),
    }
    assert times.gradients == {"ReLU": 1.0, "MatMul": 3.0}
    assert (times.loss, times.update, times.other) == (1.5, 0.5, 0.125)


def test_every_layer_of_a_real_step_has_its_time(run: Any, data: Any, tmp_path: Path) -> None:
    done = run("step", "--data_url", data, "--spec", SPEC, "--output", tmp_path)
    assert done.code == 0, done.errors
    found = json.loads((tmp_path / "step.json").read_text())
    layers = {row["name"]: row for row in found["layers"]}
    assert {"conv1", "conv2", "fc1", "fc2", "fc3", "pool"} <= set(layers)
    assert all(layers[name]["forward_ms"] > 0 for name in ("conv1", "conv2", "fc1", "fc2", "fc3"))
    assert {row["kind"] for row in found["gradients"]} >= {"MatMul", "BiasAdd", "ReLU"}
    if found["compiled_kernels"]:
        assert all(layers[name]["backward_ms"] > 0 for name in ("conv1", "conv2", "pool"))
    assert all(found[name] > 0 for name in ("step_ms", "batch_ms", "loss_ms", "update_ms"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "step.json"]
