"""The images of a data set's parts."""

from pathlib import Path

import pytest

from models.data.images import read_images
from models.failures import Damage, InputError, SpecError


def test_the_training_files_are_read_in_order(data: Path) -> None:
    images = read_images(data, "train")
    assert len(images) == 200
    assert images.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert images.sha256 != read_images(data, "eval").sha256


def test_a_damaged_file_is_named(data: Path) -> None:
    (data / "train" / "data_batch_3.bin").write_bytes(b"\0")
    with pytest.raises(Damage, match=r"train/data_batch_3\.bin"):
        read_images(data, "train")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data_batch"):
        read_images(tmp_path, "train")


def test_labels_beyond_the_classes_of_the_network_are_refused(data: Path) -> None:
    with pytest.raises(SpecError, match="classes: "):
        read_images(data, "train", 5)
