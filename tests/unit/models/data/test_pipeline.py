"""Training batches: order, sharing between devices, augmentation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.images import Images, read_images
from models.data.pipeline import Pipeline, augment, cut_out, mix
from models.preprocess import CIFAR10, Contract, normalise


@pytest.fixture
def images(data: Path) -> Images:
    return read_images(data, "train")


def batches(images: Images, epoch: int = 1, **changes: Any) -> list[tuple[NDArray[np.float32], NDArray[Any]]]:
    values = {"batch_size": 32, "contract": Contract(32), "classes": 10, "seed": 1, "crop": 4, "flip": True, **changes}
    return list(Pipeline(images, **values).epoch(epoch))


def test_an_epoch_depends_on_seed_and_number(images: Images) -> None:
    first = batches(images)
    assert len(first) == 6  # 200 images: the last eight are dropped
    for (one, label), (again, label_again) in zip(first, batches(images), strict=True):
        np.testing.assert_array_equal(one, again)
        np.testing.assert_array_equal(label, label_again)
    assert not np.array_equal(first[0][0], batches(images, epoch=2)[0][0])
    assert not np.array_equal(first[0][0], batches(images, seed=2)[0][0])


def test_without_augmentation_every_image_appears_once(images: Images) -> None:
    found = np.concatenate([tensor for tensor, _ in batches(images, batch_size=40, crop=0, flip=False)])
    assert len(found) == 200
    assert len(np.unique(found.reshape(200, -1), axis=0)) == 200


def test_training_tensors_follow_the_input_contract(images: Images) -> None:
    known = {tensor.tobytes() for tensor in normalise(images.pixels[:])}
    assert {tensor.tobytes() for batch, _ in batches(images, crop=0, flip=False) for tensor in batch} <= known


@pytest.mark.parametrize("values", [{}, {"mixup": 0.4, "cutout": 8, "label_smoothing": 0.1}])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_devices_share_each_batch(images: Images, ranks: int, values: dict[str, Any]) -> None:
    whole = batches(images, batch_size=24, **values)
    shares = [batches(images, batch_size=24, rank=rank, ranks=ranks, **values) for rank in range(ranks)]
    for step, (tensor, labels) in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([share[step][0] for share in shares]), tensor)
        np.testing.assert_array_equal(np.concatenate([share[step][1] for share in shares]), labels)


def test_augmentation_shifts_and_mirrors() -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (3, 32, 32, 3), dtype=np.uint8)
    offsets = np.array([[4, 4], [0, 0], [8, 4]])
    result = augment(pixels, 4, offsets, np.array([False, False, True]))
    np.testing.assert_array_equal(result[0], pixels[0])
    np.testing.assert_array_equal(result[1, 4:, 4:], pixels[1, :-4, :-4])
    assert result[1, :4].max() == result[1, :, :4].max() == 0
    np.testing.assert_array_equal(result[2, :28], pixels[2, 4:, ::-1])


def test_crops_and_mirrors_are_spread_evenly() -> None:
    """Each pixel's red is its row + 1 and its green its column + 1, so that the middle shows crop and mirroring."""
    pixels = np.zeros((200, 32, 32, 3), np.uint8)
    pixels[..., 0] = np.arange(1, 33)[:, np.newaxis]
    pixels[..., 1] = np.arange(1, 33)
    images = Images(pixels, np.zeros(200, np.int32), "")
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (CIFAR10.mean, CIFAR10.std))
    tensors = np.concatenate([tensor for epoch in range(1, 51) for tensor, _ in batches(images, epoch=epoch)])
    middle = np.rint((tensors[:, :, 15:17, 15:17] * std + mean) * 255).astype(int)
    mirrored = middle[:, 1, 0, 0] > middle[:, 1, 0, 1]
    rows = middle[:, 0, 0, 0] - 12
    columns = middle[:, 1, 0, :].min(axis=1) - 12
    assert abs(mirrored.mean() - 0.5) < 0.02
    for offsets in (rows, columns):
        counts = np.bincount(offsets, minlength=9)
        assert len(counts) == 9
        assert counts.min() > 0.9 * counts.mean()


def test_larger_inputs_are_resized(images: Images) -> None:
    assert batches(images, contract=Contract(40))[0][0].shape == (32, 3, 40, 40)


def test_a_square_is_cut_out_and_clipped_at_the_edge() -> None:
    tensor = np.ones((3, 3, 8, 8), np.float32)
    cut_out(tensor, 4, np.array([[4, 4], [0, 7], [7, 0]]))
    holes = (tensor == 0).all(axis=1)
    assert holes[0, 2:6, 2:6].all()
    assert holes.sum(axis=(1, 2)).tolist() == [16, 6, 6]
    cut_out(tensor, 0, np.zeros((3, 2), np.int64))
    assert (tensor[0] == 0).sum() == 48


def test_cutout_hides_the_same_part_of_every_epoch(images: Images) -> None:
    shown = np.concatenate([tensor for tensor, _ in batches(images, cutout=8, crop=0, flip=False)])
    share = (shown == 0).all(axis=1).mean()
    assert 0.045 < share < 0.0625  # 8 · 8 of 32 · 32, less what is clipped


def test_mixing_pairs_the_first_with_the_last() -> None:
    values = np.arange(4, dtype=np.float32).reshape(4, 1)
    assert mix(values, values, 0.75).ravel().tolist() == [0.75, 1.25, 1.75, 2.25]
    assert mix(values[:2], values[2:], 0.75).ravel().tolist() == [0.75, 1.25]
    assert mix(values, values, 1.0).tolist() == values.tolist()


def test_smoothed_labels_are_probabilities(images: Images) -> None:
    for _, labels in batches(images, label_smoothing=0.1):
        assert (labels.dtype, labels.shape) == (np.dtype(np.float32), (32, 10))
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(labels.max(axis=1), 0.91, rtol=1e-6)


def test_mixed_labels_follow_the_mixed_images(images: Images) -> None:
    plain = batches(images)
    for (tensor, labels), (before, numbers) in zip(batches(images, mixup=0.4), plain, strict=True):
        assert labels.sum(axis=1) == pytest.approx(1, rel=1e-5)
        place = np.flatnonzero(numbers != numbers[::-1])[0]
        share = labels[place, numbers[place]]
        np.testing.assert_allclose(tensor, before * share + before[::-1] * (1 - share), atol=1e-5)


def test_images_that_are_mirrored_in_turn_are_seen_both_ways_in_two_epochs(images: Images) -> None:
    """Without a crop, each image of the epochs n and n + 1 occurs as it is, and mirrored; half of each epoch is."""
    whole = normalise(images.pixels[:])
    plain = {tensor.tobytes() for tensor in whole}

    def seen(epoch: int) -> list[NDArray[np.float32]]:
        given = batches(images, epoch=epoch, batch_size=40, crop=0, in_turn=True)
        return [tensor for batch, _ in given for tensor in batch]

    for epoch in (1, 2, 5):
        now, next_one, after = ({tensor.tobytes() for tensor in seen(epoch + more)} for more in (0, 1, 2))
        assert 60 < len(now & plain) < 140
        assert now | next_one == plain | {np.ascontiguousarray(image[..., ::-1]).tobytes() for image in whole}
        assert now == after


def test_a_mirrored_border_continues_the_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    result = augment(pixels, 2, np.array([[0, 0], [4, 2]]), None, "mirrored")
    np.testing.assert_array_equal(result[0], pixels[0][[2, 1, 0, 1, 2, 3, 4, 5]][:, [2, 1, 0, 1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(result[1], pixels[1][[2, 3, 4, 5, 6, 7, 6, 5]])
