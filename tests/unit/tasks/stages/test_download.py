import io
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.errors import Corrupt, UserError
from infra.settings import load
from models.data.records import RECORD_BYTES
from tasks.stages import download

NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
RECORD = bytes([3]) + bytes(RECORD_BYTES - 1)


def contents(**changed: Any) -> Any:
    files = {f"cifar-10-batches-bin/{name}": RECORD * 2 for name in NAMES}
    files["cifar-10-batches-bin/batches.meta.txt"] = b"airplane\n"
    files["cifar-10-batches-bin/readme.html"] = b"not needed"
    return files | changed


def tar(path: Any, files: Any, extra: Any = ()) -> Any:
    with tarfile.open(path, "w:gz") as pack:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            pack.addfile(info, io.BytesIO(data))
        for info in extra:
            pack.addfile(info)
    return path


def test_the_shipped_sample_is_what_it_claims() -> None:
    assert sha256(download.SAMPLE.read_bytes()).hexdigest() == download.SAMPLE_SHA256


def test_the_shipped_sample_unpacks_to_the_layout_of_the_tutorials(tmp_path: Path) -> None:
    download.unpack(download.SAMPLE, tmp_path / "tree")
    found = sorted(path.relative_to(tmp_path / "tree").as_posix() for path in (tmp_path / "tree").rglob("*.*"))
    assert found == sorted(download.PLACES.values())
    assert download.check_records(tmp_path / "tree" / "eval" / "test_batch.bin") == 1000


def test_a_zip_with_other_folders_unpacks_alike(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cifar10.zip", "w") as pack:
        pack.writestr("cifar10/", "")
        for name, data in contents().items():
            pack.writestr(f"cifar10/train/{Path(name).name}", data)
    download.unpack(tmp_path / "cifar10.zip", tmp_path / "tree")
    assert (tmp_path / "tree" / "train" / "data_batch_5.bin").read_bytes() == RECORD * 2


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.95])
def test_a_truncated_archive_is_damaged(tmp_path: Path, keep: float) -> None:
    noise = {name: np.random.default_rng(1).bytes(RECORD_BYTES) for name in contents()}
    archive = tar(tmp_path / "archive", noise)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    with pytest.raises(Corrupt, match=r"damaged|lacks"):
        download.unpack(archive, tmp_path / "tree")


def test_bytes_that_are_no_archive_are_damaged(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(Corrupt, match="damaged"):
        download.unpack(tmp_path / "archive", tmp_path / "tree")


@pytest.mark.parametrize("name", ["../escape.bin", "/escape.bin", "a/../../test_batch.bin"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = tar(tmp_path / "archive", {name: b"x"} | contents())
    with pytest.raises(UserError, match="leaves its folder"):
        download.unpack(archive, tmp_path / "tree")
    assert not (tmp_path / "escape.bin").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("cifar-10-batches-bin/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(UserError, match="link or a device"):
        download.unpack(tar(tmp_path / "archive", contents(), [link]), tmp_path / "tree")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    files = contents()
    del files["cifar-10-batches-bin/data_batch_3.bin"]
    with pytest.raises(Corrupt, match=r"lacks data_batch_3\.bin"):
        download.unpack(tar(tmp_path / "archive", files), tmp_path / "tree")


def test_a_doubled_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match=r"test_batch\.bin twice"):
        download.unpack(tar(tmp_path / "archive", contents(**{"other/test_batch.bin": RECORD})), tmp_path / "tree")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    large = {"cifar-10-batches-bin/test_batch.bin": bytes(RECORD_BYTES * (download.MAX_RECORDS + 1))}
    with pytest.raises(Corrupt, match="more than 10,000 records"):
        download.unpack(tar(tmp_path / "archive", contents(**large)), tmp_path / "tree")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a whole number"),
        (RECORD[:-1], "not a whole number"),
        (RECORD + bytes([10]) + bytes(RECORD_BYTES - 1), r"test\.bin: record 1 has the label 10"),
    ],
)
def test_wrong_records_are_named(tmp_path: Path, data: Any, message: str) -> None:
    (tmp_path / "test.bin").write_bytes(data)
    with pytest.raises(Corrupt, match=message):
        download.check_records(tmp_path / "test.bin")


def test_an_address_needs_its_digest() -> None:
    with pytest.raises(UserError, match=r"data\.sha256 is not set"):
        download.archive_digest(load(overrides={"data.source": "https://example.org/cifar.tar.gz"}))


def test_full_means_the_official_archive() -> None:
    assert download.archive_digest(load(overrides={"data.source": "full"})) == download.OFFICIAL_SHA256


@pytest.mark.parametrize(
    "names",
    [
        b"../../LBL\ncat\n",
        b"/etc\ncat\n",
        b"a\x1b[31mb\ncat\n",
        b"cat\ncat\n",
        b".hidden\ncat\n",
        b"\xff\xfe\n",
        b"x" * 300,
    ],
)
def test_a_class_name_that_cannot_name_a_file_is_refused(tmp_path: Path, names: Any) -> None:
    path = tmp_path / "batches.meta.txt"
    path.write_bytes(names)
    with pytest.raises(UserError, match=r"batches\.meta\.txt"):
        download.check_class_names(path)


def test_class_names_of_any_script_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "batches.meta.txt"
    path.write_text("飞机\nkleines Auto\nc-3 (old)\n", encoding="utf-8")
    download.check_class_names(path)
