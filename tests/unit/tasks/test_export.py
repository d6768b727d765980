import json
import math
from pathlib import Path

import pytest

from infra.errors import Corrupt, Refused, UserError
from infra.settings import load
from tasks import export
from tests.unit.tasks.doubles import data_tree, read, work_of


class Exporter:
    """A world that exports what it is asked, except AIR."""

    def __init__(self, difference=1e-6, refused=("air",)):
        self.difference = difference
        self.refused = refused
        self.formats = []

    def run_model(self, command, arguments, log):
        assert command == "export"
        name, folder = arguments["format"], Path(arguments["output"])
        self.formats.append(name)
        if name in self.refused:
            raise Refused(f"{name} needs an Ascend device")
        (folder / f"model.{name}").write_bytes(name.encode())
        (folder / "check.json").write_text(json.dumps({"max_difference": self.difference, "images": 30}))


def run(tmp_path, world, **settings):
    inputs = {"data": data_tree(), "checkpoint": b"weights", "predictions": b"logits"}
    work = work_of(tmp_path, inputs, world=world, settings={f"export.{name}": text for name, text in settings.items()})
    return export.run(work)


def test_each_format_is_exported_and_air_is_reported_as_not_made(tmp_path):
    world = Exporter()
    made = run(tmp_path, world)
    assert world.formats == ["mindir", "onnx", "air"]
    assert set(made.outputs) == {"mindir", "onnx", "checks"}
    assert made.outputs["onnx"].read_bytes() == b"onnx"
    checks = read(made.outputs["checks"])
    assert checks["onnx"] == {"made": True, "max_difference": 1e-6, "images": 30}
    assert checks["air"] == {"made": False, "reason": "air needs an Ascend device"}
    assert made.note == "mindir, onnx; air not made"


def test_only_what_is_asked_for_is_exported(tmp_path):
    world = Exporter()
    made = run(tmp_path, world, formats='["onnx"]')
    assert world.formats == ["onnx"]
    assert made.note == "onnx"


def test_on_an_ascend_device_air_is_made_like_the_others(tmp_path):
    assert "air" in run(tmp_path, Exporter(refused=())).outputs


def test_a_refusal_of_another_format_stops_the_stage(tmp_path):
    with pytest.raises(Refused, match="onnx"):
        run(tmp_path, Exporter(refused=("onnx",)))


@pytest.mark.parametrize("difference", [0.1, math.inf, math.nan])
def test_a_file_that_computes_something_else_is_no_export(tmp_path, difference):
    with pytest.raises(Corrupt, match=r"mindir file's logits differ .*max_difference"):
        run(tmp_path, Exporter(difference))


def test_the_bound_can_be_set(tmp_path):
    assert run(tmp_path, Exporter(0.1), max_difference="0.2").note.startswith("mindir, onnx")


def test_portable_air_needs_the_onnx_file(tmp_path):
    with pytest.raises(UserError, match="ONNX"):
        run(tmp_path, Exporter(), formats='["air"]', portable_air="true")


def test_the_settings_that_change_the_bytes_are_ingredients():
    def ingredients(**overrides):
        return export.STAGE.settings(load(overrides=overrides))

    plain = ingredients()
    assert ingredients(**{"export.formats": '["onnx"]'}) != plain
    assert ingredients(**{"train.epochs": "3", "convert.soc_version": "Ascend310P3"}) == plain
