import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from infra.atc.emulator import aipp_config
from infra.atc.lint.check import examine
from infra.errors import Refused, Transient, UserError
from infra.ports.board import BoardFacts
from infra.ports.compilation import CompileRequest
from infra.ports.values import OnLine
from infra.settings import load
from models import parity as arithmetic
from tasks.stages import convert
from tests.cifar10 import CLASSES
from tests.unit.tasks.doubles import FakeCompiler, data_tree, needs_of, read, work_of

COUNT = 30
LOGITS = np.eye(10, dtype=np.float32)[np.arange(COUNT) % 10] * 4
EXPORTED = {"made": True, "bytes": 7, **arithmetic.compare(LOGITS, LOGITS, np.arange(COUNT) % 10, CLASSES)}


class Machine:
    """A world that compiles, and whose models answer with the checkpoint's logits, or with `answers` by precision."""

    def __init__(self, compiler: Any = None, answers: Any = None, boards: Any = None) -> None:
        self.made_by = compiler or FakeCompiler()
        self.answers = answers or {}
        self.boards = boards or {}
        self.trials: list[tuple[str, str, bytes]] = []

    def compiler(self) -> Any:
        return self.made_by

    def board(self, name: Any) -> Any:
        return self.boards[name]

    def simulator(self) -> Any:
        return self

    def lint(self, model: Path, socs: Any) -> Any:
        return examine(model, socs, load(overrides={"convert.compiler": "stand-in"}))

    def infer(self, folder: Any, soc_version: Any, images: Any, logits: Any) -> float:
        precision = folder.parent.name.removeprefix(f"{soc_version}-")
        assert np.load(images).shape == (COUNT, 32, 32, 3)
        said = read(folder / "release.json")
        assert (said["soc_version"], said["image_size"]) == (soc_version, 32)
        assert {"main.py", "infer.py", "preprocess.py", "parity.py"} <= {
            path.name for path in (folder / "agent").iterdir()
        }
        self.trials.append((soc_version, precision, (folder / "model.om").read_bytes()))
        np.save(logits, self.answers.get(precision, LOGITS))
        return 0.5


def bytes_of(array: Any, name: str = "logits.npy") -> Any:
    file = io.BytesIO()
    np.save(file, array)
    return {name: file.getvalue()}


def predictions() -> Any:
    file = io.BytesIO()
    np.savez(file, logits=LOGITS)
    return file.getvalue()


def run(tmp_path: Path, world: Any = None, *, emulated: Any = False, given: Any = None, **settings: Any) -> Any:
    world = world or Machine()
    inputs = {
        "model": {f"model.{settings.get('convert.source', 'onnx')}": b"network"},
        "checks": json.dumps({"onnx": EXPORTED, "air": {"made": False, "reason": "needs Ascend"}}).encode(),
        "logits": bytes_of(LOGITS, "onnx.npy"),
        "data": data_tree(COUNT),
        "predictions": predictions(),
        **(given or {}),
    }
    context = work_of(tmp_path, inputs, world=world, settings=settings, emulated=emulated)
    return context, convert.run(context)


def test_one_model_is_compiled_for_the_board_executed_and_chosen(tmp_path: Path) -> None:
    world = Machine()
    context, made = run(tmp_path, world)
    assert (made.outputs["om"] / "Ascend310" / "model.om").read_bytes() == b"om:network"
    assert made.outputs["log"].read_text().splitlines() == context.reporter.lines
    assert context.reporter.lines[-1] == "ATC start working now"
    assert world.trials == [("Ascend310", "force_fp16", b"om:network")]
    assert made.note == "atc-stand-in 0123456789ab (stand-in), 1 compiled, Ascend310: force_fp16"


def test_what_the_compiler_will_refuse_is_told_before_it_starts(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["image"], ["logits"], name="only")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("image", "logits")]
    network = helper.make_model(
        helper.make_graph([node], "net", values[:1], values[1:]), opset_imports=[helper.make_opsetid("", 22)]
    )
    given = {"model": {"model.onnx": network.SerializeToString()}}
    chips = {"convert.soc_versions": '["Ascend310", "Ascend42"]'}
    context, made = run(tmp_path, given=given, **chips)
    lines = context.reporter.lines
    assert lines == made.outputs["log"].read_text().splitlines()
    told = lines[: lines.index("ATC start working now")]
    assert any(line.startswith("before compiling for Ascend310: ") and "22" in line for line in told)
    assert any("no CANN here knows Ascend42" in line for line in told)


def test_there_is_a_model_for_each_chip_and_precision(tmp_path: Path) -> None:
    world = Machine()
    settings = {
        "convert.soc_versions": '["Ascend310", "Ascend310B4"]',
        "convert.precisions": '["allow_fp32_to_fp16", "must_keep_origin_dtype"]',
    }
    _, made = run(tmp_path, world, **settings)
    asked = [(request.soc_version, request.options["precision_mode"]) for request in world.made_by.requests]
    assert asked == [(soc, precision) for soc in ("Ascend310", "Ascend310B4") for precision in (
        "allow_fp32_to_fp16", "must_keep_origin_dtype")]  # fmt: skip
    assert {tuple(request.input_shape["image"]) for request in world.made_by.requests} == {(1, 3, 32, 32)}
    ledger = read(made.outputs["ledger"])
    assert ledger["chosen"] == {"Ascend310": "allow_fp32_to_fp16", "Ascend310B4": "allow_fp32_to_fp16"}
    assert [hop["to"] for hop in ledger["hops"]] == [
        "air", "onnx", *(f"{soc} {precision}" for soc, precision in asked),
    ]  # fmt: skip
    assert sorted(path.name for path in made.outputs["om"].iterdir()) == ["Ascend310", "Ascend310B4"]


def test_without_chips_named_those_of_the_boards_are_compiled_for(tmp_path: Path) -> None:
    def socs(**settings: Any) -> Any:
        return convert.STAGE.settings(load(overrides=settings))["soc_versions"]

    assert socs() == ["Ascend310"]
    boards = '["attic", "laptop", "cellar"]'
    two = {"boards.attic.soc": "Ascend310B4", "boards.cellar.soc": "Ascend310B4", "deploy.boards": boards}
    assert socs(**two) == ["Ascend310B4", "Ascend310"]
    assert socs(**two, **{"convert.soc_versions": '["Ascend310P3"]'}) == ["Ascend310P3"]
    assert socs(**{"deploy.boards": "[]"}) == [], "looking at a chain without boards is no error"
    with pytest.raises(UserError, match="no chip"):
        run(tmp_path, **{"deploy.boards": "[]"})


class Asked:
    """A real board that says which chip it has and tries models, or does not answer."""

    def __init__(self, soc: Any = None, *, busy: bool = False) -> None:
        self.soc = soc
        self.busy = busy
        self.tried = 0

    def infer(self, release: Any, images: Any, logits: Any) -> Any:
        """Each model answers rightly; those that come later are faster."""
        if self.busy:
            raise Transient("the device is busy")
        description = read(release / "release.json")
        assert (description["soc_version"], description["emulated"]) == (self.soc, False)
        for name in ("model.om", "agent/main.py", "agent/parity.py"):
            assert (release / name).is_file()
        assert np.load(images).shape == (COUNT, 32, 32, 3)
        np.save(logits, LOGITS)
        self.tried += 1
        return 1 / self.tried

    def facts(self) -> Any:
        if self.soc is None:
            raise Transient("board attic does not answer")
        return BoardFacts("attic", self.soc, "7.0", "aarch64", "3.9", 1 << 30, False)


ATTIC = {"boards.attic.address": "192.168.1.2", "deploy.boards": '["attic"]'}


def test_a_real_boards_own_chip_counts(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="board attic has Ascend310B4, but the settings compile for Ascend310"
    ) as caught:
        run(tmp_path, Machine(boards={"attic": Asked("Ascend310B4")}), **ATTIC)
    assert 'boards.attic.soc = "Ascend310B4"' in caught.value.hint
    world = Machine(boards={"attic": Asked("Ascend310B4")})
    run(tmp_path / "right", world, **ATTIC, **{"boards.attic.soc": "Ascend310B4"})
    assert [request.soc_version for request in world.made_by.requests] == ["Ascend310B4"]


def test_a_board_that_does_not_answer_is_told_of_and_does_not_stop_the_compilation(tmp_path: Path) -> None:
    context, made = run(tmp_path, Machine(boards={"attic": Asked()}), **ATTIC)
    assert "board attic cannot be asked for its chip now: board attic does not answer" in context.reporter.lines
    assert read(made.outputs["ledger"])["chosen"] == {"Ascend310": "force_fp16"}


def test_the_first_that_passes_is_chosen_and_the_others_figures_are_kept(tmp_path: Path) -> None:
    wrong = np.roll(LOGITS, 1, axis=1)
    precisions = '["force_fp16", "allow_fp32_to_fp16", "must_keep_origin_dtype"]'
    _, made = run(tmp_path, Machine(answers={"force_fp16": wrong}), **{"convert.precisions": precisions})
    ledger = read(made.outputs["ledger"])
    assert ledger["chosen"] == {"Ascend310": "allow_fp32_to_fp16"}
    hops = {hop["precision"]: hop for hop in ledger["hops"] if hop["precision"]}
    assert hops["force_fp16"]["whole"]["agreement"] == 0.0
    assert "worst is airplane" in hops["force_fp16"]["objection"]
    assert hops["allow_fp32_to_fp16"]["step"] == {"agreement": 1.0, "cosine": pytest.approx(1), "max_difference": 0.0}
    assert hops["must_keep_origin_dtype"]["objection"] is None


def test_where_none_passes_no_model_is_given_away(tmp_path: Path) -> None:
    _, made = run(tmp_path, Machine(answers={"force_fp16": np.full_like(LOGITS, np.nan)}))
    assert read(made.outputs["ledger"])["chosen"] == {"Ascend310": None}
    assert list(made.outputs["om"].iterdir()) == []
    assert made.note.endswith("Ascend310: none passes")


def test_what_was_compiled_for_hardware_is_not_executed_and_the_ledger_says_so(tmp_path: Path) -> None:
    world = Machine(FakeCompiler(emulated=False))
    _, made = run(tmp_path, world, **{"convert.precisions": '["force_fp16", "must_keep_origin_dtype"]'})
    assert world.trials == []
    assert "stand-in" not in made.note
    ledger = read(made.outputs["ledger"])
    assert ledger["chosen"] == {"Ascend310": "force_fp16"}
    assert ledger["why"] == {"Ascend310": "the first of the declared order; none was executed here"}
    hop = next(hop for hop in ledger["hops"] if hop["precision"])
    assert (hop["whole"], hop["objection"]) == (None, None)
    assert "smoke test on the board" in hop["reason"]
    assert "not executed here" in made.outputs["parity"].read_text()


TWO = {"convert.precisions": '["force_fp16", "must_keep_origin_dtype"]'}
REAL = {**ATTIC, "boards.attic.soc": "Ascend310B4"}


def test_a_real_board_decides_between_candidates_and_the_fastest_that_passes_is_chosen(tmp_path: Path) -> None:
    board = Asked("Ascend310B4")
    world = Machine(FakeCompiler(emulated=False), boards={"attic": board})
    _, made = run(tmp_path, world, **TWO, **REAL)
    ledger = read(made.outputs["ledger"])
    assert board.tried == 2
    assert ledger["chosen"] == {"Ascend310B4": "must_keep_origin_dtype"}
    assert ledger["why"] == {"Ascend310B4": "the fastest that passes"}
    assert all(hop["whole"]["images"] == COUNT for hop in ledger["hops"] if hop["precision"])
    assert read(made.outputs["latency"]) == {
        "Ascend310B4 force_fp16": 1.0, "Ascend310B4 must_keep_origin_dtype": 0.5,
    }  # fmt: skip


def test_one_candidate_alone_is_left_to_the_smoke_test(tmp_path: Path) -> None:
    board = Asked("Ascend310B4")
    run(tmp_path, Machine(FakeCompiler(emulated=False), boards={"attic": board}), **REAL)
    assert board.tried == 0


def test_a_board_that_is_busy_decides_nothing_and_stops_nothing(tmp_path: Path) -> None:
    world = Machine(FakeCompiler(emulated=False), boards={"attic": Asked("Ascend310B4", busy=True)})
    context, made = run(tmp_path, world, **TWO, **REAL)
    ledger = read(made.outputs["ledger"])
    assert ledger["chosen"] == {"Ascend310B4": "force_fp16"}
    assert "board attic cannot try Ascend310B4 force_fp16 now: the device is busy" in context.reporter.lines
    assert "could not try it: the device is busy" in ledger["hops"][-1]["reason"]


def test_only_a_model_from_outside_has_other_inputs(tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    settings = load(overrides={"convert.model": str(own)})
    assert convert.STAGE.external_inputs(settings) == {"model": own}
    assert needs_of(convert.STAGE, settings) == {"model": ("export", "onnx"), "data": ("download", "data")}
    assert convert.STAGE.external_inputs(load()) == {}
    assert "tasks.release.own_model" in convert.STAGE.code(settings)
    assert not {name for name in convert.STAGE.code(load()) if "own_model" in name or "lint" in name}


@pytest.mark.parametrize(("preset", "swap"), [("cifar10", False), ("cifar10-bgr", True)])
def test_aipp_is_written_from_the_one_contract(tmp_path: Path, preset: str, swap: bool) -> None:
    texts = []

    class Reading(FakeCompiler):
        def compile(self, request: CompileRequest, lines: OnLine) -> None:
            texts.append(Path(request.options["insert_op_conf"]).read_text())
            super().compile(request, lines)

    run(tmp_path, Machine(Reading()), **{"convert.aipp": "true", "train.normalisation": preset})
    (block,) = aipp_config.read(texts[0], "aipp.cfg")
    assert (block["input_format"], block["rbuv_swap_switch"]) == ("RGB888_U8", swap)
    assert (block["src_image_size_w"], block["src_image_size_h"]) == (32, 32)
    assert [block[f"min_chn_{index}"] for index in range(3)] == pytest.approx([125.307, 122.961, 113.8575])


def test_further_options_reach_atc_and_files_count_by_their_bytes(tmp_path: Path) -> None:
    kept = tmp_path / "kept.cfg"
    kept.write_text("dense3")
    texts = []

    class Reading(FakeCompiler):
        def compile(self, request: CompileRequest, lines: OnLine) -> None:
            texts.append((request.options["deterministic"], Path(request.options["keep_dtype"]).read_text()))
            super().compile(request, lines)

    options = {"convert.options.deterministic": '"1"', "convert.options.keep_dtype": str(kept)}
    settings = load(overrides=options)
    assert convert.STAGE.external_inputs(settings) == {"keep_dtype": kept}
    assert convert.STAGE.settings(settings)["options"] == {"deterministic": "1"}
    run(tmp_path / "run", Machine(Reading()), given={"keep_dtype": kept.read_bytes()}, **options)
    assert texts == [("1", "dense3")]


@pytest.mark.parametrize("name", ["precision_mode", "insert_op_conf", "dynamic_batch_size", "dynamic_dims"])
def test_options_that_other_settings_decide_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"convert\.options\.{name}"):
        run(tmp_path, **{f"convert.options.{name}": "x"})


def test_gears_leave_the_batch_open_and_a_fixed_batch_is_kept(tmp_path: Path) -> None:
    gears, fixed = Machine(), Machine()
    run(tmp_path / "gears", gears, **{"convert.batch_gears": "[1, 4, 8]"})
    run(tmp_path / "fixed", fixed, **{"export.batch": "4"})
    assert gears.made_by.requests[0].input_shape == {"image": (-1, 3, 32, 32)}
    assert gears.made_by.requests[0].options["dynamic_batch_size"] == "1,4,8"
    assert fixed.made_by.requests[0].input_shape == {"image": (4, 3, 32, 32)}


@pytest.mark.parametrize("other", [{"export.batch": "4"}, {"convert.source": "air"}])
def test_gears_without_an_open_batch_are_refused(tmp_path: Path, other: Any) -> None:
    with pytest.raises(UserError, match="open batch"):
        run(tmp_path, **{"convert.batch_gears": "[1, 4]"}, **other)


def test_a_refusal_of_the_compiler_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="E10001"):
        run(tmp_path, Machine(FakeCompiler(error=Refused("E10001: the value is invalid"))))


def test_the_settings_that_change_the_bytes_are_ingredients() -> None:
    def ingredients(**overrides: Any) -> Any:
        return convert.STAGE.settings(load(overrides=overrides))

    plain = ingredients()
    changes = {
        "convert.soc_versions": '["Ascend310B4"]',
        "convert.precisions": '["must_keep_origin_dtype"]',
        "convert.aipp": "true",
        "convert.batch_gears": "[1, 2]",
        "convert.min_agreement": "0.5",
        "convert.max_accuracy_drop": "0.5",
        "convert.options.deterministic": '"1"',
        "export.batch": "2",
        "train.normalisation": "cifar10-bgr",
        "boards.laptop.soc": "Ascend310P3",
    }
    for name, value in changes.items():
        assert ingredients(**{name: value}) != plain, name
    assert ingredients(**{"train.epochs": "3", "obs.bucket": "other"}) == plain


def test_air_or_onnx_is_compiled_as_asked() -> None:
    assert needs_of(convert.STAGE, load())["model"] == ("export", "onnx")
    assert needs_of(convert.STAGE, load(overrides={"convert.source": "air"}))["model"] == ("export", "air")
    with pytest.raises(UserError, match=r"convert\.source"):
        load(overrides={"convert.source": "mindir"})


@pytest.mark.parametrize(("name", "value"), [("precisions", '["half"]'), ("precisions", "[]"), ("min_agreement", "2")])
def test_settings_that_cannot_work_are_refused(name: str, value: str) -> None:
    with pytest.raises(UserError, match=rf"convert\.{name}"):
        load(overrides={f"convert.{name}": value})
