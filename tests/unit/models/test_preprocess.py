import ast
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models import preprocess
from models.preprocess import CIFAR10, CLASSES, PRESETS, best, from_picture, normalise, resize, softmax

SOURCE = Path(preprocess.__file__)


def random_images(count: int = 3, side: int = 32) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", PRESETS)
def test_normalised_values_follow_the_formula(name: Any) -> None:
    preset = PRESETS[name]
    images = random_images()
    tensor = normalise(images, preset)
    assert (tensor.dtype, tensor.shape) == (np.float32, (3, 3, 32, 32))
    assert tensor.flags.c_contiguous
    for channel, colour in enumerate(preset.order):
        exact = (images[..., "RGB".index(colour)] / 255.0 - preset.mean[channel]) / preset.std[channel]
        np.testing.assert_array_equal(tensor[:, channel], exact.astype(np.float32))


def test_the_default_contract_has_the_tutorials_constants_in_rgb_order() -> None:
    assert CIFAR10.mean == (0.4914, 0.4822, 0.4465)
    assert CIFAR10.std == (0.2023, 0.1994, 0.2010)
    red = np.zeros((1, 1, 1, 3), np.uint8)
    red[..., 0] = 255
    assert normalise(red)[0, :, 0, 0] == pytest.approx([(1 - 0.4914) / 0.2023, -0.4822 / 0.1994, -0.4465 / 0.2010])


def test_one_image_and_many_give_the_same_bits() -> None:
    images = random_images(5)
    together = normalise(images)
    for index in range(5):
        np.testing.assert_array_equal(normalise(images[index : index + 1])[0], together[index])


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 32, 32, 3), np.float32), np.zeros((32, 32, 3), np.uint8), np.zeros((1, 3, 32, 32), np.uint8)],
)
def test_other_arrays_are_refused(images: Any) -> None:
    with pytest.raises(ValueError, match="images must be uint8"):
        normalise(images)


def test_a_picture_of_the_right_size_keeps_every_pixel() -> None:
    image = random_images(1)[0]
    np.testing.assert_array_equal(from_picture(Image.fromarray(image), 32), image)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "PA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    picture = Image.new("L", (50, 40), 255)
    picture = picture.convert("P").convert(mode) if mode == "PA" else picture.convert(mode)
    image = from_picture(picture, 32)
    assert (image.dtype, image.shape) == (np.uint8, (32, 32, 3))
    assert image.min() >= (254 if mode != "I;16" else 0)


def test_sixteen_bits_are_scaled_down() -> None:
    deep = np.full((32, 32), 65535, np.uint16)
    deep[0] = 0
    image = from_picture(Image.fromarray(deep), 32)
    assert image[0].max() == 0
    assert image[1:].min() == 255


def test_transparent_pixels_lie_on_white() -> None:
    assert from_picture(Image.new("RGBA", (32, 32), (255, 0, 0, 0)), 32).min() == 255
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([255, 0, 0] * 256)
    palette.info["transparency"] = 0
    assert from_picture(palette, 32).min() == 255


def test_a_camera_s_rotation_is_obeyed() -> None:
    pixels = random_images(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a turn by 90 degrees clockwise
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    turned = from_picture(Image.open(buffer), 32)
    np.testing.assert_array_equal(turned, np.rot90(pixels, -1))


def test_arrays_and_pictures_are_resized_alike() -> None:
    images = random_images(3)
    resized = resize(images, 48)
    assert resized.shape == (3, 48, 48, 3)
    for index in range(3):
        np.testing.assert_array_equal(resized[index], from_picture(Image.fromarray(images[index]), 48))
    assert resize(images, 32) is images
    assert resize(images[:0], 48).shape == (0, 48, 48, 3)


def test_softmax_is_stable() -> None:
    with np.errstate(all="raise"):
        np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0], [-1000.0, -1000.0]])), 0.5)
    np.testing.assert_allclose(softmax(np.array([0.0, np.log(3.0)])), [0.25, 0.75])


def test_the_best_classes_come_first() -> None:
    logits = np.zeros(10, np.float32)
    logits[[3, 5]] = 2, 4
    found = best(logits, 3)
    assert [name for name, _ in found] == [CLASSES[5], CLASSES[3], CLASSES[0]]
    assert sum(probability for _, probability in best(logits, 10)) == pytest.approx(1.0)


def test_the_module_stands_alone_on_python_3_6() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    imported = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported == {"typing", "numpy", "PIL"}
