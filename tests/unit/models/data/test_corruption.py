"""Corruptions: worked values where a formula is short, and what holds for all of them."""

from typing import Any, get_args

import numpy as np
import pytest

from infra.settings.robustness import Corruption, Severity
from models.data import corruption
from models.data.corruption import NAMES, SEVERITIES, corrupt


@pytest.fixture(scope="module")
def images() -> Any:
    """Smooth pictures with an edge: uint8 [40, 32, 32, 3]."""
    random = np.random.default_rng(3)
    ramp = np.linspace(0, 1, 32)
    corners = random.integers(40, 215, (40, 3))
    pixels = corners[:, None, None, :] + 40 * (ramp[None, :, None, None] - ramp[None, None, :, None])
    pixels[:, :, 16:] += 30
    return np.clip(pixels, 0, 255).astype(np.uint8)


def flat(value: Any, count: int = 1) -> Any:
    return np.full((count, 32, 32, 3), value, np.uint8)


def test_the_settings_name_what_there_is() -> None:
    assert get_args(Corruption) == NAMES
    assert get_args(Severity) == SEVERITIES


@pytest.mark.parametrize("name", NAMES)
def test_images_stay_images_and_the_seed_decides(images: Any, name: Any) -> None:
    before = images.copy()
    once = corrupt(images, name, 3, seed=5)
    assert once.dtype == np.uint8
    assert once.shape == images.shape
    assert np.array_equal(images, before)
    assert not np.array_equal(once, images)
    assert np.array_equal(once, corrupt(images, name, 3, seed=5))
    random = name.endswith("_noise") or name == "motion_blur"
    assert np.array_equal(once, corrupt(images, name, 3, seed=6)) != random


@pytest.mark.parametrize("name", NAMES)
def test_the_highest_severity_changes_more_than_the_lowest(images: Any, name: Any) -> None:
    apart = [np.abs(corrupt(images, name, level, 1).astype(int) - images).mean() for level in SEVERITIES]
    assert 0 < apart[0] < apart[4]


def test_many_images_are_corrupted_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch, images: Any) -> None:
    whole = corrupt(images, "brightness", 2, 1)
    monkeypatch.setattr(corruption, "_CHUNK", 7)
    assert np.array_equal(corrupt(images, "brightness", 2, 1), whole)
    assert corrupt(images, "shot_noise", 2, 1).shape == images.shape


def test_each_kind_has_random_numbers_of_its_own() -> None:
    noise = [corrupt(flat(128), name, 1, 1).astype(int) - 128 for name in ("gaussian_noise", "shot_noise")]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1


@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.04), (5, 0.10)])
def test_gaussian_noise_has_its_deviation(severity: int, deviation: float) -> None:
    noise = corrupt(flat(128, 10), "gaussian_noise", severity, 1) / 255
    assert noise.std() == pytest.approx(deviation, rel=0.02)
    assert noise.mean() == pytest.approx(128 / 255, abs=0.003)


def test_shot_noise_counts_photons() -> None:
    """With 50 photons for white, a pixel of half brightness has the deviation sqrt(25) / 50; black stays black."""
    noise = corrupt(flat(128, 10), "shot_noise", 5, 1) / 255
    assert noise.std() == pytest.approx(np.sqrt(0.502 * 50) / 50, rel=0.02)
    assert not corrupt(flat(0), "shot_noise", 5, 1).any()


def test_impulse_noise_is_salt_and_pepper() -> None:
    noisy = corrupt(flat(128, 10), "impulse_noise", 5, 1)
    assert set(np.unique(noisy)) == {0, 128, 255}
    assert np.mean(noisy != 128) == pytest.approx(0.07, rel=0.05)
    assert np.mean(noisy[noisy != 128] == 255) == pytest.approx(0.5, abs=0.05)


def test_blurs_leave_an_even_picture_and_spread_a_point() -> None:
    point = flat(0)
    point[0, 16, 16] = 255
    for name in ("defocus_blur", "motion_blur"):
        assert np.abs(corrupt(flat(200), name, 5, 1).astype(int) - 200).max() <= 1
        spread = corrupt(point, name, 5, 1)
        assert 20 < spread.max() < 160
        assert spread.sum() == pytest.approx(3 * 255, rel=0.1)  # bytes cut fractions off
    rows = np.nonzero(corrupt(point, "defocus_blur", 4, 1)[0, :, :, 0])
    assert set(zip(*map(list, rows), strict=True)) == {(16, 16), (15, 16), (17, 16), (16, 15), (16, 17)}


def test_brightness_keeps_the_hue() -> None:
    """V of HSV rises by 0.3: (100, 50, 0) is scaled by (100/255 + 0.3) / (100/255); black becomes grey."""
    picture = flat(0)
    picture[:] = (100, 50, 0)
    assert corrupt(picture, "brightness", 5, 1)[0, 0, 0].tolist() == [176, 88, 0]
    assert corrupt(flat(0), "brightness", 1, 1)[0, 0, 0].tolist() == [12, 12, 12]
    assert corrupt(flat(255), "brightness", 5, 1).min() == 255


def test_contrast_moves_towards_the_mean() -> None:
    picture = flat(100)
    picture[:, :, 16:] = 200
    assert np.unique(corrupt(picture, "contrast", 2, 1)).tolist() == [125, 175]


def test_pixels_become_coarse() -> None:
    ramp = np.repeat(np.arange(32, dtype=np.uint8)[None, None, :, None] * 8, 32, axis=1).repeat(3, axis=3)
    assert len(np.unique(corrupt(ramp, "pixelate", 5, 1)[0, 0, :, 0])) <= 20  # 0.65 of 32 columns are 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((flat(1), "fog", 1, 1), "unknown corruption 'fog'; use one of gaussian_noise"),
        ((flat(1), "contrast", 6, 1), "1 to 5, not 6"),
        ((flat(1), "contrast", 0, 1), "1 to 5, not 0"),
        ((flat(1).astype(np.float32), "contrast", 1, 1), "not float32"),
        ((flat(1)[0], "contrast", 1, 1), r"not uint8 \[32, 32, 3\]"),
    ],
)
def test_invalid_arguments_are_refused(arguments: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        corrupt(*arguments)


def test_an_empty_batch_stays_empty() -> None:
    for name in NAMES:
        assert corrupt(flat(1)[:0], name, 1, 1).shape == (0, 32, 32, 3)
