"""Archives as programs write and damage them: read whole, or refused with a sentence; never a part of one."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.errors import AtlasFlowError, Corrupt, UserError
from tasks.dataset.archives import extract

FILES = {f"cats/{number}.txt": bytes((number * 7 + i * i) % 251 for i in range(3000)) for number in range(4)}
CENTRAL, LOCAL = (b"PK\x01\x02", 2), (b"PK\x03\x04", 0)


def tar(mode: str) -> bytes:
    """A tar archive of the files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as pack:  # type: ignore[call-overload] # any mode for writing
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            pack.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def pack_zip(separator: str = "/", folders: bool = False) -> bytes:
    """A zip archive of the files, with any separator in its names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in {**({"cats/": b""} if folders else {}), **FILES}.items():
            entry = zipfile.ZipInfo("x")
            entry.filename = name.replace("/", separator)
            pack.writestr(entry, content)
    return out.getvalue()


def with_field(offset: int, value: int) -> bytes:
    """A zip archive whose headers carry a value at an offset of the local header: 6 flags, 8 method."""
    data = bytearray(pack_zip())
    for mark, more in (LOCAL, CENTRAL):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            struct.pack_into("<H", data, at + offset + more, value)
    return bytes(data)


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one flipped."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def unpacked(data: bytes, folder: Path) -> dict[str, bytes]:
    """The files of an archive."""
    archive = folder / "archive"
    archive.write_bytes(data)
    extract(archive, folder / "out")
    return {str(path.relative_to(folder / "out")): path.read_bytes() for path in (folder / "out").rglob("*.txt")}


@pytest.mark.parametrize(
    "make",
    [
        *(lambda mode=mode: tar(mode) for mode in ("w", "w:gz", "w:bz2", "w:xz")),
        pack_zip,
        lambda: pack_zip("\\", folders=True),
    ],
)
def test_every_kind_is_read(make: Callable[[], bytes], tmp_path: Path) -> None:
    assert unpacked(make(), tmp_path) == FILES


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (with_field(6, 1), UserError, "cats/0.txt in the archive is encrypted"),
        (with_field(8, 99), UserError, "is encrypted"),
        (with_field(8, 9), UserError, "Deflate64"),
        (with_field(8, 93), UserError, "Zstandard"),
        (with_field(8, 77), UserError, "the method 77"),
        (pack_zip()[:-200], Corrupt, "a zip archive without its end"),
        (b"<html>log in</html>", Corrupt, "neither a zip archive nor a tar archive"),
        (b"7z\xbc\xaf'\x1c" + bytes(50), Corrupt, "neither a zip archive nor a tar archive"),
        (b"", Corrupt, "neither a zip archive nor a tar archive"),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, error: type[AtlasFlowError], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        unpacked(data, tmp_path)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("place", [0.3, 0.5, 0.8])
def test_a_flipped_byte_of_a_compressed_archive_is_found(mode: str, place: float, tmp_path: Path) -> None:
    data = tar(mode)
    with pytest.raises(Corrupt, match="damaged"):
        unpacked(flipped(data, int(len(data) * place)), tmp_path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    data = tar("w")
    second = data.index(b"cats/1.txt")
    with pytest.raises(Corrupt, match="damaged"):
        unpacked(flipped(data, second), tmp_path)


@pytest.mark.parametrize("keep", [512 + 100, 4096 + 100])
def test_a_tar_that_was_cut_off_is_damaged(keep: int, tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="damaged"):
        unpacked(tar("w")[:keep], tmp_path)
