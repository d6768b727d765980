import io

import numpy as np
import pytest

from infra.settings import load
from models.preprocess import CIFAR10, CLASSES
from tasks import release
from tests.unit.tasks.doubles import data_tree, read, work_of


def predictions(count=30, seed=2):
    file = io.BytesIO()
    np.savez(file, logits=np.random.default_rng(seed).normal(size=(count, 10)).astype(np.float32))
    return file.getvalue()


def work_for(tmp_path, *, emulated=True, settings=None, **changed):
    inputs = {
        "om": b"compiled",
        "data": data_tree(),
        "predictions": predictions(),
        "agent": {"main.py": b"print()", "acl/x.py": b"pass"},
        "preprocess": b"MEAN = ()", "parity": b"NONE = 0",
    }
    tmp_path.mkdir(exist_ok=True)
    return work_of(tmp_path, inputs | changed, settings=settings, emulated=emulated)


def id_of(tmp_path, name, **changed):
    folder = release.build(work_for(tmp_path / name, **changed))
    return read(folder / release.DESCRIPTION)["id"]


def test_a_release_holds_model_program_and_smoke_test(tmp_path):
    folder = release.build(work_for(tmp_path))
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
    }
    assert (folder / "model.om").read_bytes() == b"compiled"


def test_the_smoke_test_is_the_first_images_with_the_checkpoints_own_logits(tmp_path):
    folder = release.build(work_for(tmp_path))
    images, logits = np.load(folder / "smoke" / "images.npy"), np.load(folder / "smoke" / "logits.npy")
    records = np.frombuffer(data_tree()["eval/test_batch.bin"], np.uint8).reshape(-1, 3073)
    assert images.shape == (release.SMOKE_IMAGES, 32, 32, 3)
    assert images.dtype == np.uint8
    # The record holds planes: red, green, blue (ascend-domain.md §7.4).
    assert images[5, 3, 7].tolist() == [records[5, 1 + plane * 1024 + 3 * 32 + 7] for plane in range(3)]
    expected = np.load(io.BytesIO(predictions()))["logits"][: release.SMOKE_IMAGES]
    assert np.array_equal(logits, expected)


def test_the_description_says_what_the_board_must_know(tmp_path):
    facts = read(release.build(work_for(tmp_path)) / "release.json")
    largest = float(np.abs(np.load(io.BytesIO(predictions()))["logits"][: release.SMOKE_IMAGES]).max())
    assert facts["labels"] == list(CLASSES)
    assert facts["image_size"] == 32
    assert facts["normalisation"] == {"mean": list(CIFAR10.mean), "std": list(CIFAR10.std), "order": "RGB"}
    assert facts["soc_version"] == "Ascend310"
    assert facts["emulated"] is True
    assert facts["tolerance"] == pytest.approx(0.01 * largest)


def test_the_id_names_the_bytes(tmp_path):
    first = id_of(tmp_path, "first")
    assert len(first) == 16
    assert id_of(tmp_path, "again") == first
    changes = {
        "model": {"om": b"other"},
        "program": {"agent": {"main.py": b"print(1)"}},
        "golden": {"predictions": predictions(seed=3)},
        "emulation": {"emulated": False},
        "chip": {"settings": {"convert.soc_version": "Ascend310P3"}},
        "pixels": {"settings": {"train.normalisation": "cifar10-bgr"}},
    }
    others = {id_of(tmp_path, name, **change) for name, change in changes.items()}
    assert len(others | {first}) == len(changes) + 1


def test_labels_are_lines_without_blanks(tmp_path):
    work = work_for(tmp_path, data={"eval/test_batch.bin": b"", "batches.meta.txt": b" airplane \r\n\nbird\n"})
    assert release.labels(work) == ["airplane", "bird"]


def test_the_program_comes_from_this_checkout():
    given = release.agent_files(load())
    assert (given["agent"] / "main.py").is_file()
    assert given["preprocess"].is_file()
    assert given["parity"].is_file()
