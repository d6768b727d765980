"""Models of other exporters through the convert stage: prepared, compiled by the stand-in, and compared hop by hop."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from infra.atc.client import input_shape
from infra.atc.emulator.compiler import compile_model
from infra.errors import UserError
from infra.ports.compilation import CompileRequest
from infra.ports.values import OnLine, Producer
from infra.settings import load
from models.preprocess import contract_from_json
from tasks.release import own_model
from tasks.release.foreign import pictures
from tasks.stages import convert
from tests.unit.infra.atc import foreign
from tests.unit.tasks.doubles import needs_of, read, work_of

NAMES = ["red leaf", "grün", "蓝", "schräg (1)", "last"]
TWO = {"keras_binary": NAMES[:2]}


class StandIn:
    """The compiler and the simulator in this process: an `.om` is the graph that the stand-in of ATC makes."""

    def __init__(self) -> None:
        self.requests: list[CompileRequest] = []

    def compiler(self) -> Any:
        return self

    def simulator(self) -> Any:
        return self

    def producer(self) -> Producer:
        return Producer("atc-stand-in", "1", True, {"cann": "8.0"})

    def compile(self, request: CompileRequest, lines: OnLine) -> None:
        self.requests.append(request)
        framework = "1" if request.model.suffix == ".air" else "5"
        options = {"model": str(request.model), "framework": framework, "output": "m", **request.options}
        options |= {"soc_version": request.soc_version, "input_shape": input_shape(request.input_shape)}
        request.output.parent.mkdir(parents=True, exist_ok=True)
        request.output.write_bytes(compile_model(options, "1", lines).om.onnx)

    def infer(self, folder: Path, _soc: str, images: Path, logits: Path) -> float:
        contract = contract_from_json(read(folder / "release.json"))
        session = onnxruntime.InferenceSession((folder / "model.om").read_bytes(), providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
        tensor = contract.tensor(np.load(images))
        batch = entry.shape[0] if isinstance(entry.shape[0], int) else len(tensor)
        found = []
        for start in range(0, len(tensor), batch):
            part = tensor[start : start + batch]
            whole = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), part.dtype)])
            kind = {"tensor(float16)": np.float16}.get(entry.type, np.float32)
            (answer,) = session.run(None, {entry.name: whole.astype(kind)})
            found.append(np.asarray(answer).reshape(batch, -1)[: len(part)])
        np.save(logits, np.concatenate(found).astype(np.float32))
        return 0.5


def photographs(folders: Mapping[str, str], count: int = 2) -> dict[str, bytes]:
    """Pictures of noise, by path: `folders` names a folder for each class."""
    random = np.random.default_rng(2)
    made = {}
    for place, folder in enumerate(folders.values()):
        for number in range(count):
            pixels = random.integers(0, 120, (24 + number, 30, 3), np.uint8)
            pixels[..., place % 3] += 100
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            made[f"{folder}{number}-{place}.png"] = file.getvalue()
    return made


def run(
    tmp_path: Path, model: onnx.ModelProto, names: Any = NAMES, photos: Any = None, suffix: str = "onnx", **more: str
) -> Any:
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / f"own.{suffix}"
    settings = {
        "convert.model": str(path), "convert.classes": "classes.txt", "convert.images": "photos",
        "train.image_size": str(foreign.SIZE), "train.normalisation": "imagenet", **more,
    }  # fmt: skip
    inputs = {
        "model": {path.name: model if isinstance(model, bytes) else model.SerializeToString()},
        "classes": {"classes.txt": "".join(f"{name}\n" for name in names).encode()},
        "images": photographs({name: f"{name}/" for name in names}) if photos is None else photos,
    }
    world = StandIn()
    context = work_of(tmp_path, inputs, world=world, settings=settings)
    return context, convert.run(context), world


@pytest.mark.parametrize("name", foreign.MODELS)
def test_a_foreign_model_is_compiled_and_agrees_at_each_hop(tmp_path: Path, name: str) -> None:
    names = TWO.get(name, NAMES)
    bytes_scale = {"train.normalisation": f"0,0,0,{1 / 255},{1 / 255},{1 / 255}"} if name == "keras_bytes" else {}
    context, made, world = run(tmp_path, foreign.MODELS[name](), names, **bytes_scale)
    ledger = read(made.outputs["ledger"])
    first, second = ledger["hops"]
    assert (first["from"], first["to"]) == ("model", "onnx")
    assert (second["from"], second["to"]) == ("onnx", "Ascend310 force_fp16")
    assert (first["whole"]["agreement"], second["whole"]["agreement"]) == (1.0, 1.0)
    assert second["step"]["max_difference"] < 0.1
    assert ledger["chosen"] == {"Ascend310": "force_fp16"}
    assert ledger["images"] == 2 * len(names)
    batch = 4 if name == "batch_of_four" else 1
    assert world.requests[0].input_shape == {"image": (batch, 3, foreign.SIZE, foreign.SIZE)}
    said = read(made.outputs["findings"])
    assert said["labelled"]
    assert {finding["level"] for finding in said["findings"]} <= {"fixed", "note"}
    assert [line for line in context.reporter.lines if line.startswith("fixed: ")] == [
        f"{finding['level']}: {finding['what']} → {finding['remedy']}" for finding in said["findings"]
    ]


@pytest.mark.parametrize("name", foreign.REFUSED)
def test_a_model_that_atc_refuses_never_reaches_it(tmp_path: Path, name: str) -> None:
    make, _, part = foreign.REFUSED[name]
    with pytest.raises(UserError, match=r"own\.onnx cannot be compiled:\n  1\. ") as caught:
        run(tmp_path, make())
    assert part in str(caught.value)
    assert "    → " in str(caught.value)
    assert not (tmp_path / "work" / "candidates").exists()


def test_the_size_is_compared_with_the_settings(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set train\.image_size=16"):
        run(tmp_path, foreign.torch_resnet(), **{"train.image_size": "224"})


def test_gears_need_an_open_batch(tmp_path: Path) -> None:
    _, made, world = run(tmp_path / "open", foreign.torch_resnet(), **{"convert.batch_gears": "[1, 4]"})
    assert world.requests[0].input_shape == {"image": (-1, 3, foreign.SIZE, foreign.SIZE)}
    assert read(made.outputs["ledger"])["hops"][1]["whole"]["agreement"] == 1.0
    with pytest.raises(UserError, match="needs a model with an open batch"):
        run(tmp_path / "fixed", foreign.opset_7(), **{"convert.batch_gears": "[1, 4]"})


def test_pictures_of_unknown_classes_are_compared_with_the_models_own_answers(tmp_path: Path) -> None:
    photos = photographs({"one": ""}, count=5) | {"notes.txt": b"no picture", "broken.jpg": b"\xff\xd8"}
    context, made, _ = run(tmp_path, foreign.torch_resnet(), photos=photos)
    said = read(made.outputs["findings"])
    assert (said["pictures"], said["labelled"], list(said["skipped"])) == (5, False, ["broken.jpg"])
    assert "5 pictures of unknown classes" in context.reporter.lines
    assert read(made.outputs["ledger"])["hops"][0]["whole"]["accuracy"] == 1.0


def test_only_so_many_pictures_are_taken_and_of_every_class(tmp_path: Path) -> None:
    _, made, _ = run(tmp_path, foreign.torch_resnet(), **{"convert.max_images": "7"})
    labels = np.load(made.outputs["data"] / "eval" / "labels.npy")
    assert sorted(np.bincount(labels)) == [1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("photos", "message"),
    [
        ({"a.txt": b""}, "no picture that can be read"),
        ({}, "no picture that can be read"),
        (photographs({"a": "last/", "b": "elsewhere/"}), "2 are not, such as elsewhere/"),
    ],
)
def test_folders_without_use_are_named(tmp_path: Path, photos: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(tmp_path, foreign.torch_resnet(), photos=photos)


def test_an_air_file_is_compiled_as_it_is(tmp_path: Path) -> None:
    from infra.air.writer import write_air

    model = foreign.opset_7()
    model.graph.input[0].name = model.graph.node[0].input[0] = "image"
    onnx.save(model, tmp_path / "m.onnx")
    write_air(tmp_path / "m.onnx", tmp_path / "m.air", 1)
    content = (tmp_path / "m.air").read_bytes()
    _, made, world = run(tmp_path / "run", content, suffix="air")
    assert [(hop["from"], hop["to"]) for hop in read(made.outputs["ledger"])["hops"]] == [
        ("model", "air"), ("air", "Ascend310 force_fp16"),
    ]  # fmt: skip
    assert world.requests[0].model.read_bytes() == content


def test_weights_beside_the_model_are_inputs_and_so_is_everything_that_counts(tmp_path: Path) -> None:
    onnx.save(foreign.torch_resnet(), tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data")
    given = {"convert.model": str(tmp_path / "m.onnx"), "convert.classes": "c.txt", "convert.images": "p"}
    settings = load(overrides=given)
    external = convert.STAGE.external_inputs(settings)
    assert set(external) == {"model", "weights", "classes", "images"}
    assert needs_of(convert.STAGE, settings) == {"model": ("export", "onnx")}
    assert own_model.weights_beside(tmp_path / "other.onnx") is None
    for change in ({"data.fit": "crop"}, {"train.normalisation": "imagenet"}, {"convert.max_images": "3"}):
        assert convert.STAGE.settings(load(overrides={**given, **change})) != convert.STAGE.settings(settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\n", "names 1 classes"),
        ("a\n\nb\n", "line 2"),
        ("a\nb\na\n", "line 1 and line 3"),
        ("a\n\x07\nb", "line 2"),
    ],
)
def test_class_names_are_checked(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        pictures.class_names(tmp_path / "classes.txt")


def test_class_names_may_have_any_script_and_a_mark_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes("\ufeffgrün \r\n蓝\r\n\r\n".encode())
    assert pictures.class_names(tmp_path / "classes.txt") == ["grün", "蓝"]
    assert json.dumps(pictures.class_names(tmp_path / "classes.txt"))
