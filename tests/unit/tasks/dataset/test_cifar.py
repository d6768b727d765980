import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.errors import Corrupt
from infra.store.artifacts import folder_files
from models.data.images import contract_of, read_images
from models.data.prepared import read_description
from models.spec.train_spec import TrainSpec
from tasks.dataset.cifar import is_cifar, read, unpickle
from tasks.dataset.prepare import write_arrays
from tests.unit.tasks.dataset.test_prepare import RULES

RANDOM = np.random.default_rng(3)
PIXELS = RANDOM.integers(0, 256, (40, 3072), dtype=np.uint8)
FINE = [number % 100 for number in range(60, 100)]
COARSE = [number % 20 for number in range(40)]


def dump(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        dump(
            folder / name, {b"data": PIXELS, b"fine_labels": FINE, b"coarse_labels": COARSE, b"filenames": [b"x"] * 40}
        )
    names = {
        b"fine_label_names": [f"f{n}".encode() for n in range(100)],
        b"coarse_label_names": [f"c{n}" for n in range(20)],
    }
    dump(folder / "meta", names)
    return folder


@pytest.mark.parametrize(("labels", "numbers", "first"), [("fine", FINE, "f0"), ("coarse", COARSE, "c0")])
def test_the_python_version_of_cifar_100(hundred: Path, tmp_path: Path, labels: str, numbers: Any, first: str) -> None:
    arrays = read(folder_files(hundred)[1], labels)
    assert arrays.names[0] == first
    folder, report = write_arrays(arrays, RULES, tmp_path)
    images = read_images(folder, "eval")
    assert images.labels.tolist() == numbers
    np.testing.assert_array_equal(images.pixels[:1][0], PIXELS[0].reshape(3, 32, 32).transpose(1, 2, 0))
    assert report.parts == {"train": 40, "eval": 40}
    contract = contract_of(read_description(folder), TrainSpec(image_size=64, normalisation="measured"))
    assert contract.tensor(images.pixels[:2]).shape == (2, 3, 64, 64)


def test_the_binary_version_of_cifar_100_is_the_same(hundred: Path, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.mkdir()
    heads = np.stack([np.array(COARSE, np.uint8), np.array(FINE, np.uint8)], axis=1)
    for name in ("train", "test"):
        (binary / f"{name}.bin").write_bytes(np.concatenate([heads, PIXELS], axis=1).tobytes())
    for kind, count in (("fine", 100), ("coarse", 20)):
        (binary / f"{kind}_label_names.txt").write_text("\n".join(f"{kind[0]}{n}" for n in range(count)))
    for labels in ("fine", "coarse"):
        one, two = (read(folder_files(folder)[1], labels) for folder in (hundred, binary))
        assert list(one.names) == list(two.names)
        for part in ("train", "eval"):
            for place in (0, 1):
                np.testing.assert_array_equal(one.parts[part][place], two.parts[part][place])


def test_only_whole_versions_are_taken_for_cifar() -> None:
    assert is_cifar(["x/train", "x/test", "x/meta"])
    assert is_cifar(["y/data_batch_1", *(f"y/data_batch_{n}" for n in range(2, 6)), "y/test_batch", "y/batches.meta"])
    assert not is_cifar(["train/a/1.jpg", "test/a/1.jpg", "train/b/meta"])


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/never",)


@pytest.mark.parametrize("value", [Command(), {b"data": Command()}, Path("x"), np.random.default_rng(1), complex])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_with_anything_but_arrays_is_refused(value: Any, protocol: int) -> None:
    with pytest.raises(Corrupt, match="which is no array"):
        unpickle(pickle.dumps(value, protocol=protocol))


def test_arrays_of_every_numpy_can_be_read() -> None:
    for protocol in (0, 2, 4):
        found: Any = unpickle(pickle.dumps({"data": PIXELS, "n": [1, "a", None, 2.5]}, protocol=protocol))
        np.testing.assert_array_equal(found["data"], PIXELS)


@pytest.mark.parametrize("content", [b"", b"nothing", pickle.dumps([1])[:-3]])
def test_a_damaged_pickle_is_corrupt(content: bytes) -> None:
    with pytest.raises(Corrupt, match="the pickle is damaged"):
        unpickle(content)


@pytest.mark.parametrize("labels", [FINE[:-1], [*FINE[:-1], 100], ["0"] * 40, None])
def test_labels_that_do_not_fit_are_corrupt(hundred: Path, labels: Any) -> None:
    dump(hundred / "test", {b"data": PIXELS, b"fine_labels": labels})
    with pytest.raises(Corrupt, match="test has no fine_labels from 0 to 99"):
        read(folder_files(hundred)[1], "fine")
