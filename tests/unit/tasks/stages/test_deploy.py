import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from infra.errors import Corrupt, Refused, UserError
from infra.fleet import Fleet
from infra.settings import load
from infra.world import World
from tasks.stages import deploy
from tests.boards import release_folder
from tests.cifar10 import CLASSES
from tests.unit.tasks.doubles import FakeBoard, data_tree, ledger, needs_of, read, work_of

RELEASE = {
    "Ascend310/release.json": json.dumps({"id": "r1", "soc_version": "Ascend310", "emulated": True}).encode(),
    "Ascend310/model.om": b"compiled",
    "Ascend310B4/release.json": json.dumps({"id": "r1", "soc_version": "Ascend310B4", "emulated": True}).encode(),
    "Ascend310B4/model.om": b"compiled for another",
}
LEDGER = json.dumps(ledger(socs=("Ascend310", "Ascend310B4"))).encode()


def work_for(tmp_path: Path, *boards: Any, data: Any = None, settings: Any = None, **inputs: Any) -> Any:
    by_name = {board.name: board for board in boards}
    names = json.dumps(list(by_name))
    return work_of(
        tmp_path,
        {"release": RELEASE, "ledger": LEDGER, "data": data or data_tree(), **inputs},
        world=SimpleNamespace(board=by_name.__getitem__, fleet=lambda: Fleet(tmp_path / "home")),
        settings={"deploy.boards": names, **(settings or {})},
    )


def test_every_board_gets_the_release_and_classifies_the_same_pictures(tmp_path: Path) -> None:
    boards = FakeBoard("porch"), FakeBoard("roof")
    context = work_for(tmp_path, *boards)
    made = deploy.run(context)
    assert [board.active for board in boards] == ["r1", "r1"]
    assert boards[0].pictures == boards[1].pictures
    assert made.note == "release r1 on 2 of 2 boards, 2 changed"
    shown = sorted(
        path.relative_to(made.outputs["pictures"]).parts[0] for path in made.outputs["pictures"].rglob("*.png")
    )
    assert shown == ["porch"] * 6 + ["roof"] * 6
    record = read(made.outputs["boards"])
    assert record["release"] == "r1"
    assert record["boards"]["roof"]["changed"] is True
    assert record["boards"]["roof"]["facts"]["emulated"] is True
    own = [content for name, content in RELEASE.items() if name.startswith("Ascend310/")]
    assert context.reporter.moved[-1][:2] == (sum(map(len, own)),) * 2


def test_each_board_gets_the_model_of_its_chip(tmp_path: Path) -> None:
    boards = FakeBoard("porch"), FakeBoard("roof", soc="Ascend310B4")
    deploy.run(work_for(tmp_path, *boards))
    files = [board.files["model.om"].path.read_bytes() for board in boards]
    assert files == [b"compiled", b"compiled for another"]
    assert set(boards[0].files) == {"release.json", "model.om"}


def test_a_board_with_a_chip_that_nothing_was_compiled_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="board roof has Ascend910B1; the release is for Ascend310, Ascend310B4"
    ) as caught:
        deploy.run(work_for(tmp_path, FakeBoard("roof", soc="Ascend910B1")))
    assert "boards.roof.soc" in caught.value.hint


def test_the_ledger_gets_a_hop_for_each_board(tmp_path: Path) -> None:
    made = deploy.run(work_for(tmp_path, FakeBoard("porch"), FakeBoard("roof", soc="Ascend310B4")))
    hops = read(made.outputs["ledger"])["hops"][-2:]
    assert [(hop["from"], hop["to"]) for hop in hops] == [
        ("Ascend310 force_fp16", "board porch"), ("Ascend310B4 force_fp16", "board roof"),
    ]  # fmt: skip
    assert hops[0]["whole"]["agreement"] == 1.0
    assert read(made.outputs["latency"]) == {"board porch": 0.2, "board roof": 0.2}
    assert "board roof" in made.outputs["parity"].read_text()
    with Image.open(made.outputs["picture"]) as picture:
        assert picture.format == "PNG"


def test_the_pictures_are_evaluation_images_of_the_first_classes(tmp_path: Path) -> None:
    board = FakeBoard()
    context = work_for(tmp_path, board)
    deploy.run(context)
    assert [path.name for path in board.pictures] == [
        "airplane-0.png",
        "automobile-1.png",
        "bird-2.png",
        "cat-3.png",
        "deer-4.png",
        "dog-5.png",
    ]
    with Image.open(board.pictures[2]) as picture:
        assert (picture.size, picture.mode) == ((32, 32), "RGB")


def test_a_data_set_that_lacks_classes_shows_those_that_it_has(tmp_path: Path) -> None:
    board = FakeBoard()
    record = bytes([7]) + bytes(3072)
    data = {**data_tree(), "eval/test_batch.bin": record * 3 + bytes([2]) + bytes(3072)}
    deploy.run(work_for(tmp_path, board, data=data))
    assert [path.name for path in board.pictures] == ["bird-3.png", "horse-0.png"]


def test_own_pictures_take_their_place(tmp_path: Path) -> None:
    board = FakeBoard()
    deploy.run(work_for(tmp_path, board, pictures={"b.png": b"1", "a.jpg": b"2"}))
    assert [path.name for path in board.pictures] == ["a.jpg", "b.png"]
    given = deploy.STAGE.external_inputs(load(overrides={"deploy.pictures": str(tmp_path)}))
    assert given == {"pictures": tmp_path}


def test_a_folder_without_pictures_is_told_before_a_board_is_touched(tmp_path: Path) -> None:
    board = FakeBoard()
    with pytest.raises(UserError, match=r"deploy\.pictures is .*, which has no file"):
        deploy.run(work_for(tmp_path, board, pictures={}))
    assert board.active is None


def test_the_answers_are_kept_and_said(tmp_path: Path) -> None:
    context = work_for(tmp_path, FakeBoard())
    answers = read(deploy.run(context).outputs["answers"])
    assert answers["laptop"][0] == {
        "picture": "airplane-0.png",
        "top": [{"class": "ship", "probability": 0.75}, {"class": "truck", "probability": 0.25}],
        "milliseconds": 1.5,
        "problem": "",
    }
    assert "laptop: airplane-0.png → ship (75.0%)" in context.reporter.lines
    assert context.reporter.lines[0].startswith(
        "board laptop (stand-in) now runs r1; smoke test: 100% of 20 images agree"
    )


def test_a_picture_that_the_board_cannot_read_is_said_and_stops_nothing(tmp_path: Path) -> None:
    context = work_for(tmp_path, FakeBoard(problem="not a picture"), pictures={"notes.txt": b"hello"})
    answers = read(deploy.run(context).outputs["answers"])
    assert "laptop: notes.txt → not a picture" in context.reporter.lines
    assert answers["laptop"][0]["top"] == []
    assert answers["laptop"][0]["problem"] == "not a picture"


def test_a_board_that_runs_the_release_already_is_not_counted_as_changed(tmp_path: Path) -> None:
    board = FakeBoard()
    board.active = "r1"
    context = work_for(tmp_path, board)
    assert deploy.run(context).note == "release r1 on 1 of 1 boards, 0 changed"
    assert "already ran r1" in context.reporter.lines[0]


def test_a_refusal_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="chip"):
        deploy.run(work_for(tmp_path, FakeBoard(refusal="the board has another chip")))


def test_no_board_at_all_is_no_error(tmp_path: Path) -> None:
    made = deploy.run(work_for(tmp_path))
    assert made.note == "release r1 on 0 of 0 boards, 0 changed"


def test_each_board_is_asked_whether_it_runs_the_release(tmp_path: Path) -> None:
    porch, roof = FakeBoard("porch"), FakeBoard("roof")
    context = work_for(tmp_path, porch, roof)
    assert deploy.prove(context, {}) == "board porch runs nothing instead of r1"
    porch.active, roof.active = "r1", "r0"
    assert deploy.prove(context, {}) == "board roof runs r0 instead of r1"
    roof.active = "r1"
    assert deploy.prove(context, {}) is None


def test_the_identity_of_the_boards_is_an_ingredient_and_names_no_host() -> None:
    def ingredients(**overrides: Any) -> Any:
        return deploy.STAGE.settings(load(overrides=overrides))

    assert ingredients(**{"deploy.boards": "[]"}) != ingredients()
    moved = ingredients(**{"boards.laptop.address": "10.0.0.7"})
    assert moved != ingredients()
    assert moved != ingredients(**{"boards.laptop.address": "10.0.0.8"})
    assert moved != ingredients(**{"boards.laptop.address": "10.0.0.7", "boards.laptop.user": "other"})
    assert moved == ingredients(**{"boards.laptop.address": "10.0.0.7", "boards.laptop.key": "/keys/one"})
    assert "10.0.0.7" not in str(moved)


def test_the_fleet_remembers_what_each_board_shall_run(tmp_path: Path) -> None:
    deploy.run(work_for(tmp_path, FakeBoard("porch"), FakeBoard("roof")))
    fleet = Fleet(tmp_path / "home")
    assert fleet.wanted() == {"porch": "r1", "roof": "r1"}
    assert set(fleet.release("r1")) == {"Ascend310", "Ascend310B4"}


def test_a_board_that_refuses_is_not_remembered(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        deploy.run(work_for(tmp_path, FakeBoard("porch"), FakeBoard("roof", refusal="no")))
    assert Fleet(tmp_path / "home").wanted() == {"porch": "r1"}


def given_release(folder: Any) -> Any:
    """A release of another machine, with its own golden images."""
    release_folder(folder, "away")
    np.save(folder / "smoke" / "labels.npy", np.arange(8) % 10)
    return folder


def test_a_release_from_elsewhere_needs_nothing_of_this_machine(tmp_path: Path) -> None:
    folder = given_release(tmp_path / "away")
    settings = load(overrides={"deploy.release": str(folder)})
    assert deploy.STAGE.external_inputs(settings) == {"release": folder}
    assert set(needs_of(deploy.STAGE, settings)) == {"release"}
    producer = deploy.STAGE.producer(cast("World", SimpleNamespace(settings=settings)))
    assert producer is not None
    assert (producer.version, producer.emulated) == ("away", True)
    assert deploy.STAGE.producer(cast("World", SimpleNamespace(settings=load()))) is None
    board = FakeBoard()
    context = work_of(
        tmp_path,
        {"release": {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_of(folder)}},
        world=SimpleNamespace(board=lambda name: board, fleet=lambda: Fleet(tmp_path / "home")),
        settings={"deploy.release": str(folder)},
    )
    made = deploy.run(context)
    assert made.note == "release away on 1 of 1 boards, 1 changed"
    assert [path.name for path in board.pictures] == [f"{name}-{number}.png" for number, name in enumerate(CLASSES[:6])]


def files_of(folder: Any) -> Any:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_release_that_cannot_classify_gives_way_to_the_previous_one(tmp_path: Path) -> None:
    board = FakeBoard("porch")
    board.active, board.problem = "before", Corrupt("the answer names no class")
    context = work_for(tmp_path, board)
    with pytest.raises(Corrupt, match="names no class"):
        deploy.run(context)
    assert board.active == "before"
    assert Fleet(tmp_path / "home").wanted() == {}
    assert "back on before" in context.reporter.lines[-1]
