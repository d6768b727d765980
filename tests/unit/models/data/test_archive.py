import errno
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from infra.obs import layout
from models.data.archive import ARCHIVE, unpack
from models.failures import Damage, InputError, Interruption

FILES = {"train/data_batch_1.bin": os.urandom(5000), "eval/test_batch.bin": os.urandom(700), "batches.meta.txt": b"cat"}


def pack(folder: Any, files: Any = FILES, kind: Any = tarfile.REGTYPE) -> Any:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / ARCHIVE, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(data) if kind == tarfile.REGTYPE else 0, kind
            tar.addfile(entry, io.BytesIO(data))
    return folder


def there(folder: Any) -> Any:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_uploads_use_the_name_that_is_looked_for() -> None:
    assert ARCHIVE == layout.DATA_ARCHIVE


def test_a_folder_of_files_is_taken_as_it_is(tmp_path: Path) -> None:
    assert unpack(tmp_path) == tmp_path
    assert unpack(tmp_path / "absent") == tmp_path / "absent"
    assert list(tmp_path.iterdir()) == []


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    folder = unpack(pack(tmp_path))
    assert there(folder) == FILES
    (folder / "batches.meta.txt").write_bytes(b"touched")
    assert unpack(tmp_path) == folder
    assert there(folder)["batches.meta.txt"] == b"touched"


def test_another_archive_is_unpacked_anew(tmp_path: Path) -> None:
    first = unpack(pack(tmp_path))
    (tmp_path / ARCHIVE).unlink()
    assert there(unpack(pack(tmp_path, {"one": b"1"}))) == {"one": b"1"}
    assert first.is_dir()


def test_partial_files_of_a_killed_process_are_replaced(tmp_path: Path) -> None:
    about = (pack(tmp_path) / ARCHIVE).stat()
    left = tmp_path / f".{ARCHIVE}.{about.st_size}.{about.st_mtime_ns}.partial"
    (left / "train").mkdir(parents=True)
    (left / "train" / "data_batch_1.bin").write_bytes(b"half")
    assert there(unpack(tmp_path)) == FILES
    assert not left.exists()


def test_several_processes_share_one(tmp_path: Path) -> None:
    pack(tmp_path)
    program = "import sys, pathlib; from models.data.archive import unpack; print(unpack(pathlib.Path(sys.argv[1])))"
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    folders = {process.communicate(timeout=60)[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert len(folders) == 1
    assert there(unpack(tmp_path)) == FILES


@pytest.mark.parametrize("cut", [10, 300, 4000])
def test_a_damaged_archive(tmp_path: Path, cut: int) -> None:
    pack(tmp_path)
    os.truncate(tmp_path / ARCHIVE, cut)
    with pytest.raises(Damage, match=ARCHIVE):
        unpack(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"), [("/etc/x", tarfile.REGTYPE), ("a/../../x", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)]
)
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, name: str, kind: Any) -> None:
    with pytest.raises(InputError, match="not a regular file"):
        unpack(pack(tmp_path / "data", {name: b"x"}, kind))
    assert not (tmp_path / "x").exists()


def test_a_full_disk_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Any, target: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    pack(tmp_path)
    monkeypatch.setattr("models.data.archive.shutil.copyfileobj", full)
    with pytest.raises(Interruption, match="no space left"):
        unpack(tmp_path)
    monkeypatch.undo()
    assert there(unpack(tmp_path)) == FILES
