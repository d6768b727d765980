import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.errors import UserError
from infra.store.artifacts import ArtifactStore, folder_files
from models.data.images import class_names, contract_of, read_images
from models.data.prepared import read_description
from models.failures import Damage, SpecError
from models.preprocess import Contract
from models.spec.train_spec import TrainSpec
from tasks.dataset.prepare import Prepared, prepare
from tasks.dataset.report import Report, page, write
from tasks.dataset.values import Rules
from tests.unit.tasks.dataset_pictures import class_folders, drawing

pytestmark = pytest.mark.program

RULES = Rules(32, "letterbox", "bicubic", "exif", 0.25, 1, 0.3, "fine")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "source")


def prepared(source: Path, tmp_path: Path, rules: Rules = RULES, name: str = "one") -> Prepared:
    folder = tmp_path / name
    folder.mkdir()
    home = tmp_path / "home"
    made = prepare(folder_files(source)[1], None, rules, folder, home, lambda _done, _total: None)
    ArtifactStore(home).put_tree("data", made.folder)
    return made


def test_every_image_is_what_a_board_makes_of_the_file(source: Path, tmp_path: Path) -> None:
    """JPEG and PNG, with and without rotation, to the very bits."""
    exif = Image.Exif()
    exif[0x0112] = 6
    drawing("disc", 77, (50, 30)).save(source / "disc" / "turned.jpg", exif=exif)
    made = prepared(source, tmp_path)
    contract = contract_of(read_description(made.folder), TrainSpec(image_size=32, normalisation="measured"))
    assert contract[2:] == ("letterbox", "bicubic", "exif")
    names = class_names(made.folder)
    assert names == ("disc", "square", "stripes")
    expected = {
        name: {contract.image(contract.open(str(path))).tobytes() for path in (source / name).iterdir()}
        for name in names
    }
    found: dict[str, set[bytes]] = {name: set() for name in names}
    for part, count in (("train", 19), ("eval", 6)):
        images = read_images(made.folder, part, 3)
        assert len(images) == count
        for image, label in zip(images.pixels[:], images.labels, strict=True):
            found[names[label]].add(image.tobytes())
    assert found == expected
    train = read_images(made.folder, "train").pixels[:] / 255.0
    np.testing.assert_allclose(contract.normalisation.mean, train.mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(contract.normalisation.std, train.std(axis=(0, 1, 2)), atol=1e-6)


def test_the_same_pictures_give_the_same_bytes(source: Path, tmp_path: Path) -> None:
    one, two = prepared(source, tmp_path), prepared(source, tmp_path, name="two")
    assert folder_files(one.folder)[0] == folder_files(two.folder)[0]
    assert (one.decoded, two.decoded) == (24, 0)


def test_only_new_pictures_are_decoded(source: Path, tmp_path: Path) -> None:
    prepared(source, tmp_path)
    drawing("disc", 500).save(source / "disc" / "new.png")
    (source / "disc" / "000.png").rename(source / "disc" / "moved.png")
    again = prepared(source, tmp_path, name="two")
    assert again.decoded == 1
    shutil.rmtree(tmp_path / "home" / "objects")  # as if `gc` had removed the images
    fresh = prepared(source, tmp_path, name="three")
    assert fresh.decoded == 25
    assert folder_files(fresh.folder)[0] == folder_files(again.folder)[0]


def spoil(source: Path) -> None:
    """One file for each reason that a picture cannot be used."""
    folder = source / "square"
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_bytes(b"<html>not found</html>")
    drawing("disc", 3, (300, 300)).save(folder / "cut.jpg")
    content = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    Image.fromarray(np.zeros((8, 8), np.float32)).save(folder / "float.tif")
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    drawing("square", 90).save(folder / "wrong-name.png", "JPEG")  # this one is fine


def test_what_cannot_be_used_is_listed_with_its_reason(source: Path, tmp_path: Path) -> None:
    spoil(source)
    made = prepared(source, tmp_path)
    reasons = {Path(item["name"]).name: item["problem"] for item in made.report.skipped}
    assert reasons == {
        "empty.jpg": "empty file",
        "page.jpg": "not a picture, or an unknown format",
        "cut.jpg": "truncated",
        "float.tif": "pixels without fixed RGB values",
        "huge.png": "too many pixels",
    }
    assert sum(made.report.classes["square"].values()) == 9
    assert "5 pictures are not used" in made.report.warnings()


def test_past_the_share_of_the_settings_it_stops(source: Path, tmp_path: Path) -> None:
    spoil(source)
    strict = Rules(**{**vars(RULES), "max_unusable": 0.1})
    with pytest.raises(UserError, match=r"5 of 30 pictures cannot be used \(16\.7%") as caught:
        prepared(source, tmp_path, strict)
    listing = tmp_path / "home" / "prepared" / "unusable.txt"
    assert str(listing) in caught.value.hint
    assert "square/cut.jpg\ttruncated\t" in listing.read_text()
    assert not (tmp_path / "one" / "data").exists()


def test_duplicates_stay_on_one_side_and_are_reported(source: Path, tmp_path: Path) -> None:
    for number in range(6):
        shutil.copyfile(source / "disc" / "000.png", source / "disc" / f"copy{number}.png")
    shutil.copyfile(source / "disc" / "001.png", source / "square" / "mislabelled.png")
    found = prepared(source, tmp_path).report
    assert not found.across
    assert sorted(map(len, found.equal)) == [2, 7]
    [ambiguous] = found.ambiguous
    assert sorted(ambiguous) == ["disc/001.png", "square/mislabelled.png"]


def test_the_report_is_data_a_page_and_a_picture(source: Path, tmp_path: Path) -> None:
    (source / "square" / "<b>.jpg").write_bytes(b"")
    made = prepared(source, tmp_path)
    write(made.report, made.folder, tmp_path / "report")
    assert Report.read(tmp_path / "report" / "report.json") == Report(**json.loads(made.report.to_json()))
    text = page(made.report)
    assert "&lt;b&gt;.jpg" in text
    assert "<b>.jpg" not in text
    with Image.open(tmp_path / "report" / "samples.png") as picture:
        assert picture.size[0] > 400


def test_a_class_without_a_usable_picture_is_an_error(source: Path, tmp_path: Path) -> None:
    (source / "none").mkdir()
    (source / "none" / "1.jpg").write_bytes(b"")
    (source / "classes.txt").write_text("disc\nsquare\nstripes\nnone\n")
    with pytest.raises(UserError, match="the class none has no usable training picture"):
        prepared(source, tmp_path)


def test_damaged_files_and_other_sizes_are_noticed(source: Path, tmp_path: Path) -> None:
    made = prepared(source, tmp_path)
    with pytest.raises(SpecError, match="prepared for 32 pixels, not 48"):
        contract_of(read_description(made.folder), TrainSpec(image_size=48))
    shard = made.folder / "train" / "pixels-00000.npy"
    content = shard.read_bytes()
    assert np.load(shard).shape == (18, 32, 32, 3)  # it is numpy's own format
    shard.write_bytes(content[:-1])
    with pytest.raises(Damage, match=r"pixels-00000\.npy cannot be read"):
        read_images(made.folder, "train")
    labels = made.folder / "eval" / "labels.npy"
    np.save(labels, np.zeros(6, np.int32))
    with pytest.raises(Damage, match=r"labels\.npy"):
        read_images(made.folder, "eval")


def test_an_index_reads_the_images_that_it_names(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("models.data.prepared.SHARD_BYTES", 5 * 32 * 32 * 3)  # several files
    made = prepared(source, tmp_path)
    pixels = read_images(made.folder, "train").pixels
    files = sorted((made.folder / "train").glob("pixels-*.npy"))
    assert len(files) == 4
    whole = np.concatenate([np.load(path) for path in files])
    np.testing.assert_array_equal(pixels[:], whole)
    chosen = np.array([17, 0, 5, 4, 5])
    np.testing.assert_array_equal(pixels[chosen], whole[chosen])
    np.testing.assert_array_equal(pixels[3:12:4], whole[3:12:4])
    with pytest.raises(IndexError):
        pixels[np.array([18])]


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (31, 17)])
def test_any_shape_becomes_a_square(fit: str, size: Any) -> None:
    assert Contract(24, fit=fit).image(Image.new("RGB", size, (9, 9, 9))).shape == (24, 24, 3)


def test_the_fits_keep_what_they_promise() -> None:
    picture = Image.new("RGB", (90, 30), (255, 0, 0))
    picture.paste((0, 0, 255), (30, 0, 60, 30))  # the middle third
    stretched, cropped, whole = (Contract(30, fit=fit).image(picture) for fit in ("stretch", "crop", "letterbox"))
    assert (cropped == (0, 0, 255)).all()
    assert (stretched[:, 0] == (255, 0, 0)).all()
    assert (stretched[:, 15] == (0, 0, 255)).all()
    assert (whole[:10] == 0).all()
    assert (whole[20:] == 0).all()
    assert (whole[15, 0] == (255, 0, 0)).all()
