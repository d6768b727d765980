"""Download: CIFAR-10 archive in the official binary layout → verified tree of `train/`, `eval/` and class names."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from infra.errors import Corrupt, UserError
from infra.home import CHECKOUT
from infra.names import is_safe_name
from tasks.engine.stage import Stage, StageContext, StageOutput

if TYPE_CHECKING:
    from infra.settings import Settings

SAMPLE = CHECKOUT / "data" / "cifar10-sample.tar.gz"
SAMPLE_SHA256 = "320110b4cf40185c6c199ab710d2855e9089c5c44f890b8b7b88ff53cd00d6bb"
# cifar-10-binary.tar.gz; docs/reference/cifar10.md §7.4.
OFFICIAL_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

MAX_RECORDS = 10_000  # per file; docs/reference/cifar10.md §7.4

PLACES = {
    **{f"data_batch_{number}.bin": f"train/data_batch_{number}.bin" for number in range(1, 6)},
    "test_batch.bin": "eval/test_batch.bin",
    "batches.meta.txt": "batches.meta.txt",
}


def archive_digest(settings: Settings) -> str:
    """Return the SHA-256 of the archive that the settings name.

    Raises:
        UserError: `data.source` is an address and `data.sha256` is not set.
    """
    if settings.data.sha256:
        return settings.data.sha256
    known = {"sample": SAMPLE_SHA256, "full": OFFICIAL_SHA256}
    if settings.data.source not in known:
        raise UserError(
            f"data.source is '{settings.data.source}', but data.sha256 is not set",
            hint="give the archive's SHA-256 with --set data.sha256=…, or set data.source to sample or full",
        )
    return known[settings.data.source]


def run(context: StageContext) -> StageOutput:
    """Fetch, unpack and check the archive, which is not kept."""
    archive = context.folder / "archive"
    _fetch(context, archive)
    tree = context.folder / "cifar10"
    try:
        unpack(archive, tree)
        check_class_names(tree / PLACES["batches.meta.txt"])
        records = {name: check_records(tree / place) for name, place in PLACES.items() if name.endswith(".bin")}
    except BaseException:
        shutil.rmtree(context.folder)  # only a partial archive is worth keeping, to resume the download
        raise
    train = sum(count for name, count in records.items() if name.startswith("data_batch"))
    return StageOutput({"data": tree}, f"{train:,} training and {records['test_batch.bin']:,} test images")


def _fetch(context: StageContext, archive: Path) -> None:
    source, digest = context.settings.data.source, archive_digest(context.settings)

    def progress(done: float, total: float) -> None:
        context.reporter.progress("download", done, total, "bytes")

    addresses = {"sample": (SAMPLE.as_uri(),), "full": context.settings.data.mirrors}.get(source, (source,))
    context.world.external_files().fetch(addresses, archive, digest, progress)


def unpack(archive: Path, tree: Path) -> None:
    """Extract the seven files of a `.tar.gz` or `.zip` to their places; ignore other files.

    Raises:
        Corrupt: the archive is damaged, or a file is missing, duplicate or too large.
        UserError: a path leaves the folder, or a member is a link or a device.
    """
    found: set[str] = set()
    with _members(archive) as members:
        for path, file in members:
            place = PLACES.get(PurePosixPath(path).name)
            if place is None:
                continue
            if place in found:
                raise Corrupt(f"the archive holds {PurePosixPath(path).name} twice")
            found.add(place)
            target = tree / place
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(file, target, path)
    missing = [name for name, place in PLACES.items() if place not in found]
    if missing:
        raise Corrupt(f"the archive lacks {', '.join(missing)}", hint="it must be CIFAR-10's binary version")


def _copy(file: IO[bytes], target: Path, name: str) -> None:
    from models.data.records import RECORD_BYTES

    limit = RECORD_BYTES * MAX_RECORDS
    content = file.read(limit + 1)
    if len(content) > limit:
        raise Corrupt(f"{name} holds more than {MAX_RECORDS:,} records")
    target.write_bytes(content)


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Yield the regular files of an archive in order, each open for reading."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as pack:
                yield _zip_members(pack)
        else:
            with tarfile.open(archive) as pack:
                yield _tar_members(pack)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk, not of the archive
        raise Corrupt(f"the archive is damaged: {error}", hint="fetch it again") from error


def _tar_members(pack: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in pack:
        _refuse_escape(member.name)
        if member.isdir():
            continue
        file = pack.extractfile(member) if member.isreg() else None
        if file is None:
            raise UserError(
                f"{member.name} in the archive is a link or a device",
                hint="use an archive of regular files inside its own folder",
            )
        yield member.name, file


def _zip_members(pack: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in pack.infolist():
        _refuse_escape(member.filename)
        if not member.is_dir():
            with pack.open(member) as file:
                yield member.filename, file


def _refuse_escape(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"{name} in the archive leaves its folder", hint="use an archive of regular files inside its own folder"
        )


def check_class_names(path: Path) -> None:
    """Check that class names are printable and valid as file names, for pictures and tables.

    Raises:
        UserError: a name is duplicate or has other characters than letters, digits and spaces.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not UTF-8: {error}", hint="save the class names as UTF-8") from error
    seen: set[str] = set()
    for name in names:
        if not is_safe_name(name) or "/" in name or name.startswith("."):
            raise UserError(f"{path.name} has the class name {name[:80]!a}", hint="use letters, digits and spaces")
        if name in seen:
            raise UserError(f"{path.name} has the class name {name[:80]!a} twice")
        seen.add(name)


def check_records(path: Path) -> int:
    """Check each record of a batch file and return their number.

    Raises:
        Corrupt: the size is not a multiple of 3,073 bytes, or a label is above 9.
    """
    from models.data.records import read_records
    from models.failures import Damage

    try:
        return len(read_records(path))
    except Damage as damage:
        raise Corrupt(damage.message, hint=damage.hint) from damage


def _settings(settings: Settings) -> Mapping[str, Any]:
    return {"archive": archive_digest(settings)}


STAGE = Stage("download", "pure", run, settings=_settings, resumes=True)
