import io
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.board.release_folder import DESCRIPTION, releases_in
from infra.settings import load
from infra.store.artifacts import folder_files
from models.preprocess import CIFAR10
from tasks.class_names import labels
from tasks.release import agent_bundle, bundle
from tests.cifar10 import CLASSES
from tests.unit.tasks.doubles import FIGURES, data_tree, ledger, read, work_of


def predictions(count: int = 30, seed: int = 2) -> Any:
    file = io.BytesIO()
    np.savez(file, logits=np.random.default_rng(seed).normal(size=(count, 10)).astype(np.float32))
    return file.getvalue()


def work_for(
    tmp_path: Path, *, emulated: bool = True, settings: Any = None, socs: Any = ("Ascend310",), **changed: Any
) -> Any:
    inputs = {
        "om": {f"{soc}/model.om": b"compiled" for soc in socs},
        "ledger": json.dumps(ledger(socs=socs)).encode(),
        "data": data_tree(),
        "predictions": predictions(),
        "agent": {"main.py": b"print()", "acl/x.py": b"pass"},
        "preprocess": b"MEAN = ()",
        "parity": b"NONE = 0",
    }
    tmp_path.mkdir(exist_ok=True)
    return work_of(tmp_path, inputs | changed, settings=settings, emulated=emulated)


def id_of(tmp_path: Path, name: Any, **changed: Any) -> Any:
    folder = bundle.build(work_for(tmp_path / name, **changed))
    return read(folder / "Ascend310" / DESCRIPTION)["id"]


def test_a_release_holds_model_program_and_smoke_test(tmp_path: Path) -> None:
    folder = bundle.build(work_for(tmp_path)) / "Ascend310"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "model.om",
        "agent/main.py",
        "agent/acl/x.py",
        "agent/preprocess.py",
        "agent/parity.py",
        "smoke/images.npy",
        "smoke/logits.npy",
        "smoke/labels.npy",
        "release.json",
        "reference.json",
    }
    assert (folder / "model.om").read_bytes() == b"compiled"


def test_the_smoke_test_is_some_images_of_each_class_with_the_checkpoints_own_logits(tmp_path: Path) -> None:
    count = 80
    context = work_for(tmp_path, data=data_tree(count), predictions=predictions(count))
    folder = bundle.build(context) / "Ascend310" / "smoke"
    images, logits, classes = (np.load(folder / f"{name}.npy") for name in ("images", "logits", "labels"))
    records = np.frombuffer(data_tree(count)["eval/test_batch.bin"], np.uint8).reshape(-1, 3073)
    assert images.shape == (10 * bundle.SMOKE_IMAGES_A_CLASS, 32, 32, 3)
    assert images.dtype == np.uint8
    assert classes.tolist() == list(range(10)) * bundle.SMOKE_IMAGES_A_CLASS
    # The record holds planes: red, green, blue (docs/reference/cifar10.md §7.4).
    assert images[5, 3, 7].tolist() == [records[5, 1 + plane * 1024 + 3 * 32 + 7] for plane in range(3)]
    expected = np.load(io.BytesIO(predictions(count)))["logits"][: len(images)]
    assert np.array_equal(logits, expected)


def test_each_chip_has_a_folder_and_all_bear_one_id(tmp_path: Path) -> None:
    folder = bundle.build(work_for(tmp_path, socs=("Ascend310", "Ascend310B4")))
    facts = [read(folder / soc / DESCRIPTION) for soc in ("Ascend310", "Ascend310B4")]
    assert [said["soc_version"] for said in facts] == ["Ascend310", "Ascend310B4"]
    assert facts[0]["id"] == facts[1]["id"]
    found = bundle.chips(folder_files(folder)[1])
    assert set(found) == {"Ascend310", "Ascend310B4"}
    assert found["Ascend310"].keys() == found["Ascend310B4"].keys() >= {"model.om", "agent/main.py", "release.json"}
    assert bundle.identifier(folder_files(folder)[1]) == facts[0]["id"]


def test_the_description_says_what_the_board_must_know(tmp_path: Path) -> None:
    facts = read(bundle.build(work_for(tmp_path)) / "Ascend310" / "release.json")
    assert facts["labels"] == list(CLASSES)
    assert facts["image_size"] == 32
    assert facts["normalisation"] == {"mean": list(CIFAR10.mean), "std": list(CIFAR10.std), "order": "RGB"}
    assert facts["soc_version"] == "Ascend310"
    assert facts["emulated"] is True
    assert facts["precision_mode"] == "force_fp16"
    assert facts["cann"] == ""
    assert facts["pillow"] == version("pillow")


def test_the_description_of_a_real_compiler_s_model_names_its_cann(tmp_path: Path) -> None:
    book = {**ledger(), "emulated": False, "compiler": {"name": "atc", "version": "8.0.RC1", "cann": "8.0.RC1"}}
    folder = bundle.build(work_for(tmp_path, ledger=json.dumps(book).encode()))
    assert read(folder / "Ascend310" / "release.json")["cann"] == "8.0.RC1"
    assert releases_in(folder_files(folder)[1], "here")["Ascend310"].cann == "8.0.RC1"


def test_the_tolerance_is_a_percent_of_the_largest_logit_or_twice_what_was_seen(tmp_path: Path) -> None:
    largest = float(np.abs(np.load(io.BytesIO(predictions()))["logits"]).max())
    for name, seen, tolerance in (("small", 1e-5, 0.01 * largest), ("large", 0.5, 1.0)):
        book = ledger(whole={**FIGURES, "max_difference": seen})
        context = work_for(tmp_path / name, ledger=json.dumps(book).encode())
        assert read(bundle.build(context) / "Ascend310" / "release.json")["tolerance"] == pytest.approx(tolerance)
    unseen = work_for(tmp_path / "unseen", ledger=json.dumps(ledger(whole=None)).encode())
    assert read(bundle.build(unseen) / "Ascend310" / "release.json")["tolerance"] == pytest.approx(0.01 * largest)


def test_the_id_names_the_bytes(tmp_path: Path) -> None:
    first = id_of(tmp_path, "first")
    assert len(first) == 16
    assert id_of(tmp_path, "again") == first
    changes = {
        "model": {"om": {"Ascend310/model.om": b"other"}},
        "program": {"agent": {"main.py": b"print(1)"}},
        "golden": {"predictions": predictions(seed=3)},
        "emulation": {"emulated": False},
        "another chip": {"socs": ("Ascend310", "Ascend310P3")},
        "pixels": {"settings": {"train.normalisation": "cifar10-bgr"}},
    }
    others = {id_of(tmp_path, name, **change) for name, change in changes.items()}
    assert len(others | {first}) == len(changes) + 1


def test_labels_are_lines_without_blanks(tmp_path: Path) -> None:
    context = work_for(tmp_path, data={"eval/test_batch.bin": b"", "batches.meta.txt": b" airplane \r\n\nbird\n"})
    assert labels(context) == ["airplane", "bird"]


def test_the_program_comes_from_this_checkout() -> None:
    given = bundle.agent_files(load())
    assert (given["agent"] / "main.py").is_file()
    assert given["preprocess"].is_file()
    assert given["parity"].is_file()
    assert {path.name for path in agent_bundle.own_files().values()} >= {"main.py", "preprocess.py", "parity.py"}
