import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from infra.air.reader import parse, to_onnx
from infra.air.writer import to_air
from infra.errors import Corrupt, Refused, UserError
from infra.settings import load
from models import preprocess
from tasks.stages import export
from tests.unit.infra.atc.emulator.networks import lenet
from tests.unit.tasks.doubles import data_tree, read, work_of


class Exporter:
    """A world that exports what it is asked, except AIR."""

    def __init__(self, difference: float = 1e-6, refused: Any = ("air",), air: bytes = b"") -> None:
        self.difference = difference
        self.air = air
        self.batches: list[Any] = []
        self.refused = refused
        self.formats: list[Any] = []

    def models(self) -> Any:
        return self

    def run(self, command: Any, arguments: Any, log: Any) -> None:
        assert command == "export"
        name, folder = arguments["format"], Path(arguments["output"])
        self.formats.append(name)
        if name in self.refused:
            raise Refused(f"{name} needs an Ascend device")
        self.batches.append(arguments["batch"])
        (folder / f"model.{name}").write_bytes(self.air if name == "air" else name.encode())
        check = {"batch": 1} if name == "air" else {"max_difference": self.difference, "images": 30}
        (folder / "check.json").write_text(json.dumps(check))
        if name != "air":
            np.save(folder / "logits.npy", np.zeros((30, 10), np.float32))
            (folder / "latency.json").write_text(json.dumps({"images": 1, "milliseconds": 0.5}))


def predictions(world: Any) -> Any:
    """The checkpoint's logits: what the network in `world.air` gives, exactly."""
    logits = np.zeros((30, 10), np.float32)
    if world.air:
        images = np.frombuffer(data_tree()["eval/test_batch.bin"], np.uint8).reshape(-1, 3073)[:, 1:]
        tensors = preprocess.normalise(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        session = onnxruntime.InferenceSession(lenet("n").SerializeToString(), providers=["CPUExecutionProvider"])
        logits = session.run(None, {"image": tensors})[0]
    file = io.BytesIO()
    np.savez(file, logits=logits)
    return file.getvalue()


def run(tmp_path: Path, world: Any, inputs: Any = (), **settings: Any) -> Any:
    inputs = {"data": data_tree(), "checkpoint": b"weights", "predictions": predictions(world), **dict(inputs)}
    context = work_of(
        tmp_path, inputs, world=world, settings={f"export.{name}": text for name, text in settings.items()}
    )
    return export.run(context)


def test_each_format_is_exported_and_air_is_reported_as_not_made(tmp_path: Path) -> None:
    world = Exporter()
    made = run(tmp_path, world)
    assert world.formats == ["mindir", "onnx", "air"]
    assert set(made.outputs) == {"mindir", "onnx", "checks", "latency", "logits"}
    assert sorted(path.name for path in made.outputs["logits"].iterdir()) == ["mindir.npy", "onnx.npy"]
    assert read(made.outputs["latency"])["onnx"] == {"images": 1, "milliseconds": 0.5}
    assert made.outputs["onnx"].read_bytes() == b"onnx"
    checks = read(made.outputs["checks"])
    assert checks["onnx"] == {"made": True, "bytes": 4, "max_difference": 1e-6, "images": 30}
    assert checks["air"] == {"made": False, "reason": "air needs an Ascend device"}
    assert made.note == "mindir, onnx; air not made"


def test_only_what_is_asked_for_is_exported(tmp_path: Path) -> None:
    world = Exporter()
    made = run(tmp_path, world, formats='["onnx"]')
    assert world.formats == ["onnx"]
    assert made.note == "onnx"


def test_on_an_ascend_device_air_is_made_like_the_others(tmp_path: Path) -> None:
    made = run(tmp_path, Exporter(refused=(), air=to_air(lenet("n"))))
    assert "air" in made.outputs
    check = read(made.outputs["checks"])["air"]
    assert (check["images"], check["agreement"], check["batch"]) == (30, 1.0, 1)
    assert check["max_difference"] < 1e-4
    assert (made.outputs["logits"] / "air.npy").is_file()


def test_air_that_the_training_left_is_taken_and_checked(tmp_path: Path) -> None:
    world = Exporter(air=to_air(lenet("n")))
    made = run(tmp_path, world, {"air": world.air})
    assert world.formats == ["mindir", "onnx"]
    assert made.outputs["air"].read_bytes() == world.air
    check = read(made.outputs["checks"])["air"]
    assert (check["made"], check["by"]) == (True, "the training")
    assert check["max_difference"] < 1e-4


def test_air_of_mindspore_with_operators_that_cannot_be_executed_here_is_made_and_not_checked(tmp_path: Path) -> None:
    model = parse(to_air(lenet("n")))
    model.graph[0].op[-2].type = "Exotic"
    made = run(tmp_path, Exporter(refused=(), air=model.SerializeToString()))
    assert "air" in made.outputs
    assert "Exotic" in read(made.outputs["checks"])["air"]["unchecked"]
    assert not (made.outputs["logits"] / "air.npy").exists()


def test_portable_air_has_the_batch_asked_for_and_is_proved(tmp_path: Path) -> None:
    class Real(Exporter):
        def models(self) -> Any:
            return self

        def run(self, command: Any, arguments: Any, log: Any) -> None:
            super().run(command, arguments, log)
            if arguments["format"] == "onnx":
                (Path(arguments["output"]) / "model.onnx").write_bytes(lenet("n").SerializeToString())

    world = Real(air=b"used for the expected logits only")
    made = run(tmp_path, world, portable_air="true", batch="7")
    assert set(world.batches) == {"7"}
    check = read(made.outputs["checks"])["air"]
    assert check["label"] == "portable, not verified on Huawei's ATC"
    assert (check["images"], check["agreement"], check["batch"]) == (30, 1.0, 7)
    graph = to_onnx(made.outputs["air"].read_bytes()).graph
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_value == 7


def test_portable_air_that_computes_something_else_is_no_export(tmp_path: Path) -> None:
    class Wrong(Exporter):
        def models(self) -> Any:
            return self

        def run(self, command: Any, arguments: Any, log: Any) -> None:
            super().run(command, arguments, log)
            if arguments["format"] == "onnx":
                network = lenet("n")
                network.graph.node[1].op_type = "Tanh"
                (Path(arguments["output"]) / "model.onnx").write_bytes(network.SerializeToString())

    with pytest.raises(Corrupt, match="air file's logits differ"):
        run(tmp_path, Wrong(air=b"x"), portable_air="true")


def test_a_refusal_of_another_format_stops_the_stage(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="onnx"):
        run(tmp_path, Exporter(refused=("onnx",)))


@pytest.mark.parametrize("difference", [0.1, math.inf, math.nan])
def test_a_file_that_computes_something_else_is_no_export(tmp_path: Path, difference: Any) -> None:
    with pytest.raises(Corrupt, match=r"mindir file's logits differ .*max_difference"):
        run(tmp_path, Exporter(difference))


def test_the_bound_can_be_set(tmp_path: Path) -> None:
    assert run(tmp_path, Exporter(0.1), max_difference="0.2").note.startswith("mindir, onnx")


def test_portable_air_needs_the_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ONNX"):
        run(tmp_path, Exporter(), formats='["air"]', portable_air="true")


def test_the_settings_that_change_the_bytes_are_ingredients() -> None:
    def ingredients(**overrides: Any) -> Any:
        return export.STAGE.settings(load(overrides=overrides))

    plain = ingredients()
    assert ingredients(**{"export.formats": '["onnx"]'}) != plain
    assert ingredients(**{"export.batch": "4"}) != plain
    assert ingredients(**{"train.epochs": "3", "convert.soc_versions": '["Ascend310P3"]'}) == plain
