import numpy as np
import pytest

from models.data.cifar10 import RECORD, Pipeline, augment, cut_out, mix, read_images
from models.failures import Damage, InputError, SpecError
from models.preprocess import CIFAR10, normalise


def test_records_become_images_and_labels(tmp_path):
    records = np.random.default_rng(3).integers(0, 256, (4, RECORD), dtype=np.uint8)
    records[:, 0] = [9, 0, 3, 3]
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "test_batch.bin").write_bytes(records.tobytes())
    images = read_images(tmp_path, "eval")
    assert images.labels.tolist() == [9, 0, 3, 3]
    assert (images.pixels.dtype, images.pixels.shape) == (np.uint8, (4, 32, 32, 3))
    row, column = 5, 20
    for colour in range(3):
        assert images.pixels[2, row, column, colour] == records[2, 1 + colour * 1024 + row * 32 + column]


def test_the_training_files_are_read_in_order(data):
    images = read_images(data, "train")
    assert len(images) == 200
    assert images.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert images.sha256 != read_images(data, "eval").sha256


@pytest.mark.parametrize("size", [0, 1, RECORD - 1, RECORD + 1])
def test_a_truncated_file_is_damage(data, size):
    path = data / "train" / "data_batch_3.bin"
    path.write_bytes(b"\0" * size)
    with pytest.raises(Damage, match=r"data_batch_3\.bin"):
        read_images(data, "train")


def test_a_label_above_nine_is_damage(data):
    path = data / "eval" / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[2 * RECORD] = 10
    path.write_bytes(content)
    with pytest.raises(Damage, match="record 2 has the label 10"):
        read_images(data, "eval")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="data_batch"):
        read_images(tmp_path, "train")


def test_more_classes_than_the_network_has_are_refused(data):
    with pytest.raises(SpecError, match="classes: "):
        read_images(data, "train", 5)


@pytest.fixture
def images(data):
    return read_images(data, "train")


def batches(images, epoch=1, **changes):
    values = {"batch_size": 32, "size": 32, "normalisation": CIFAR10, "seed": 1, "crop": 4, "flip": True, **changes}
    return list(Pipeline(images, **values).epoch(epoch))


def test_an_epoch_follows_from_seed_and_number(images):
    first = batches(images)
    assert len(first) == 6  # 200 images: the last eight are dropped
    for (one, label), (again, label_again) in zip(first, batches(images), strict=True):
        np.testing.assert_array_equal(one, again)
        np.testing.assert_array_equal(label, label_again)
    assert not np.array_equal(first[0][0], batches(images, epoch=2)[0][0])
    assert not np.array_equal(first[0][0], batches(images, seed=2)[0][0])


def test_without_augmentation_every_image_appears_once(images):
    found = np.concatenate([tensor for tensor, _ in batches(images, batch_size=40, crop=0, flip=False)])
    assert len(found) == 200
    assert len(np.unique(found.reshape(200, -1), axis=0)) == 200


def test_training_sees_the_tensors_of_the_one_contract(images):
    known = {tensor.tobytes() for tensor in normalise(images.pixels)}
    assert {tensor.tobytes() for batch, _ in batches(images, crop=0, flip=False) for tensor in batch} <= known


@pytest.mark.parametrize("values", [{}, {"mixup": 0.4, "cutout": 8, "label_smoothing": 0.1}])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_devices_share_each_batch(images, ranks, values):
    whole = batches(images, batch_size=24, **values)
    shares = [batches(images, batch_size=24, rank=rank, ranks=ranks, **values) for rank in range(ranks)]
    for step, (tensor, labels) in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([share[step][0] for share in shares]), tensor)
        np.testing.assert_array_equal(np.concatenate([share[step][1] for share in shares]), labels)


def test_augmentation_shifts_and_mirrors():
    pixels = np.random.default_rng(0).integers(1, 256, (3, 32, 32, 3), dtype=np.uint8)
    offsets = np.array([[4, 4], [0, 0], [8, 4]])
    result = augment(pixels, 4, offsets, np.array([False, False, True]))
    np.testing.assert_array_equal(result[0], pixels[0])
    np.testing.assert_array_equal(result[1, 4:, 4:], pixels[1, :-4, :-4])
    assert result[1, :4].max() == result[1, :, :4].max() == 0
    np.testing.assert_array_equal(result[2, :28], pixels[2, 4:, ::-1])


def test_crops_and_mirrors_are_spread_evenly(images, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "models.data.cifar10.augment", lambda pixels, _, offsets, flips: seen.append((offsets, flips)) or pixels
    )
    for epoch in range(1, 51):
        batches(images, epoch=epoch)
    offsets = np.concatenate([offsets for offsets, _ in seen])
    flips = np.concatenate([flips for _, flips in seen])
    assert abs(flips.mean() - 0.5) < 0.02
    counts = np.bincount(offsets.ravel(), minlength=9)
    assert len(counts) == 9
    assert counts.min() > 0.9 * counts.mean()


def test_larger_inputs_are_resized(images):
    assert batches(images, size=40)[0][0].shape == (32, 3, 40, 40)


def test_a_square_is_cut_out_and_may_stick_out():
    tensor = np.ones((3, 3, 8, 8), np.float32)
    cut_out(tensor, 4, np.array([[4, 4], [0, 7], [7, 0]]))
    holes = (tensor == 0).all(axis=1)
    assert holes[0, 2:6, 2:6].all()
    assert holes.sum(axis=(1, 2)).tolist() == [16, 6, 6]
    cut_out(tensor, 0, np.zeros((3, 2), np.int64))
    assert (tensor[0] == 0).sum() == 48


def test_cutout_hides_the_same_part_of_every_epoch(images):
    shown = np.concatenate([tensor for tensor, _ in batches(images, cutout=8, crop=0, flip=False)])
    share = (shown == 0).all(axis=1).mean()
    assert 0.045 < share < 0.0625  # 8 · 8 of 32 · 32, less what sticks out


def test_mixing_pairs_the_first_with_the_last():
    values = np.arange(4, dtype=np.float32).reshape(4, 1)
    assert mix(values, values, 0.75).ravel().tolist() == [0.75, 1.25, 1.75, 2.25]
    assert mix(values[:2], values[2:], 0.75).ravel().tolist() == [0.75, 1.25]
    assert mix(values, values, 1.0).tolist() == values.tolist()


def test_smoothed_labels_are_probabilities(images):
    for _, labels in batches(images, label_smoothing=0.1):
        assert (labels.dtype, labels.shape) == (np.float32, (32, 10))
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(labels.max(axis=1), 0.91, rtol=1e-6)


def test_mixed_labels_follow_the_mixed_images(images):
    plain = batches(images)
    for (tensor, labels), (before, numbers) in zip(batches(images, mixup=0.4), plain, strict=True):
        assert labels.sum(axis=1) == pytest.approx(1, rel=1e-5)
        place = np.flatnonzero(numbers != numbers[::-1])[0]
        share = labels[place, numbers[place]]
        np.testing.assert_allclose(tensor, before * share + before[::-1] * (1 - share), atol=1e-5)
