"""The stand-in for MoXing: as scripts use it, on objects and on files, with the same results."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.modelarts.emulator.access import passed_on, variables
from infra.modelarts.emulator.container import MOXING
from infra.modelarts.emulator.moxing import moxing as mox
from infra.modelarts.emulator.moxing.moxing import _client
from infra.settings import ObsSettings
from tests.unit.infra.obs.conftest import home, server, settings  # noqa: F401 - fixtures

HELLO = "hello\nworld\n"


@pytest.fixture
def bucket(settings: ObsSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: F811
    """The address of an empty bucket, which this process can reach."""
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    _client._open.cache_clear()
    yield f"obs://{settings.bucket}"
    mox.file.shift("mox", "os")
    _client._open.cache_clear()


@pytest.fixture(params=["objects", "files"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder to write in: in a bucket, or on this machine."""
    if request.param == "files":
        return str(tmp_path)
    return f"{request.getfixturevalue('bucket')}/course"


def test_read_write_append_and_sizes(place: str) -> None:
    mox.file.write(f"{place}/a/hello.txt", HELLO) if "://" in place else mox.file.make_dirs(f"{place}/a")
    mox.file.write(f"{place}/a/hello.txt", HELLO)
    mox.file.append(f"{place}/a/hello.txt", "!")
    assert mox.file.read(f"{place}/a/hello.txt") == HELLO + "!"
    assert mox.file.read(f"{place}/a/hello.txt", binary=True) == (HELLO + "!").encode()
    mox.file.write(f"{place}/a/bytes", b"\x00\xff")
    assert mox.file.get_size(f"{place}/a/bytes") == 2
    assert mox.file.get_size(place, recursive=True) == len(HELLO) + 3


def test_names_folders_and_patterns(place: str) -> None:
    for name in ("x/1.bin", "x/2.txt", "y/z/3.bin"):
        mox.file.make_dirs(f"{place}/{name}".rpartition("/")[0])
        mox.file.write(f"{place}/{name}", name)
    assert mox.file.list_directory(place) == ["x", "y"]
    assert mox.file.list_directory(f"{place}/", recursive=True) == ["x/1.bin", "x/2.txt", "y/z/3.bin"]
    assert mox.file.glob(f"{place}/*/*.bin") == [f"{place}/x/1.bin"]
    assert [(top.removeprefix(place), folders, sorted(files)) for top, folders, files in mox.file.walk(place)] == [
        ("", ["x", "y"], []),
        ("/x", [], ["1.bin", "2.txt"]),
        ("/y", ["z"], []),
        ("/y/z", [], ["3.bin"]),
    ]
    assert mox.file.is_directory(f"{place}/x")
    assert not mox.file.is_directory(f"{place}/x/1.bin")
    assert mox.file.exists(f"{place}//x/1.bin")
    assert not mox.file.exists(f"{place}/nothing")


def test_copies_moves_and_removals(place: str, tmp_path: Path) -> None:
    (tmp_path / "from" / "sub").mkdir(parents=True)
    (tmp_path / "from" / "sub" / "a.bin").write_bytes(b"a")
    (tmp_path / "from" / "b.bin").write_bytes(b"b")
    mox.file.copy_parallel(src_url=str(tmp_path / "from"), dst_url=f"{place}/all/")
    mox.file.copy_parallel(f"{place}/all/", str(tmp_path / "back"), file_list=["sub/a.bin"])
    assert [path.name for path in (tmp_path / "back").rglob("*.bin")] == ["a.bin"]
    mox.file.copy(f"{place}/all/b.bin", f"{place}/c.bin")
    mox.file.rename(f"{place}/c.bin", f"{place}/d.bin")
    mox.file.rename(f"{place}/all", f"{place}/moved")
    assert mox.file.list_directory(f"{place}/moved", recursive=True) == ["b.bin", "sub/a.bin"]
    with pytest.raises(IsADirectoryError):
        mox.file.remove(f"{place}/moved")
    mox.file.remove(f"{place}/moved", recursive=True)
    mox.file.remove(f"{place}/d.bin")
    assert not mox.file.exists(f"{place}/d.bin")
    assert not mox.file.exists(f"{place}/moved")


def test_a_single_file_and_a_missing_source(place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "one.ckpt").write_bytes(b"1")
    mox.file.copy_parallel(str(tmp_path / "one.ckpt"), f"{place}/new.ckpt")
    assert mox.file.get_size(f"{place}/new.ckpt") == 1
    mox.file.copy_parallel(f"{place}/nothing", str(tmp_path / "nothing"))
    assert "nothing to copy" in caplog.text
    for action in (mox.file.read, mox.file.remove, mox.file.get_size, mox.file.list_directory):
        with pytest.raises(FileNotFoundError):
            action(f"{place}/nothing")
    with pytest.raises(FileNotFoundError):
        mox.file.copy(f"{place}/nothing", str(tmp_path / "nothing"))


def test_file_objects(place: str) -> None:
    with mox.file.File(f"{place}/log.txt", "w") as file:
        file.write(HELLO)
        assert file.size() == len(HELLO)
    with mox.file.File(f"{place}/log.txt") as file:
        assert list(file) == ["hello\n", "world\n"]
        file.seek(0)
        assert file.readline() == "hello\n"
        assert file.readlines() == ["world\n"]
        assert file.tell() == len(HELLO)
    assert file.closed


def test_an_object_is_not_written_when_its_writer_fails(bucket: str) -> None:
    with pytest.raises(ZeroDivisionError), mox.file.File(f"{bucket}/half", "w") as file:
        file.write("half")
        _ = 1 / 0
    assert not mox.file.exists(f"{bucket}/half")


def test_an_empty_folder_exists_once_it_was_made(bucket: str) -> None:
    mox.file.make_dirs(f"{bucket}/output/ckpt")
    mox.file.make_dirs(f"{bucket}/output/ckpt/")
    assert mox.file.exists(f"{bucket}/output/ckpt")
    assert mox.file.list_directory(f"{bucket}/output/ckpt") == []
    mox.file.remove(f"{bucket}/output/", recursive=True)


def test_shift_lets_pythons_functions_take_addresses(bucket: str, tmp_path: Path) -> None:
    address = bucket.replace("obs://", "s3://") + "/shifted"
    before = open
    mox.file.shift("os", "mox")
    with open(f"{address}/a.txt", "w") as file:  # noqa: PTH123 - what is tested
        file.write("a")
    assert os.listdir(address) == ["a.txt"]  # noqa: PTH208
    assert os.path.exists(f"{address}/a.txt")  # noqa: PTH110
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    mox.file.shift("mox", "os")
    assert open is before
    with pytest.raises(ValueError, match="shift"):
        mox.file.shift("mox", "mox")


def test_a_process_with_the_folder_on_its_path_imports_it(bucket: str) -> None:
    mox.file.write(f"{bucket}/x.txt", "from the bucket")
    program = f"import moxing as mox; print(mox.EMULATED, mox.file.read('{bucket}/x.txt'))"
    environment = {**passed_on(os.environ), "PATH": os.environ["PATH"], "PYTHONPATH": str(MOXING)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True from the bucket\n"


def test_without_an_object_store_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_ENDPOINT", raising=False)
    with pytest.raises(UserError, match="S3_ENDPOINT"):
        mox.file.read("obs://bucket/x")


def test_keys_and_server_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "S3_ENDPOINT", "S3_USE_HTTPS"):
        monkeypatch.setenv(name, "before")
    mox.file.set_auth(ak="A", sk="S", server="127.0.0.1", port=1, is_secure=False)
    assert _client.bucket("bucket").endpoint == "http://127.0.0.1:1"
    assert os.environ["ACCESS_KEY_ID"] == "A"
    _client._open.cache_clear()
