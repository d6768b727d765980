"""Download: CIFAR-10 archive, or pictures of any kind → verified tree of `train/`, `eval/` and class names.

CIFAR-10 keeps its records. Everything else is prepared by `tasks/dataset`, whose code is in the key only then.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from infra.errors import Corrupt, UserError
from infra.home import CHECKOUT
from infra.names import is_safe_name
from tasks.dataset.archives import extract, open_members
from tasks.engine.stage import Stage, StageContext, StageOutput

if TYPE_CHECKING:
    from infra.ports.values import LocalFile
    from infra.settings import Settings
    from tasks.dataset.report import Report
    from tasks.dataset.values import Rules

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


BUILT_IN = {"sample": SAMPLE_SHA256, "full": OFFICIAL_SHA256}
TABLES = (".csv", ".manifest")


def archive_digest(settings: Settings) -> str:
    """Return the SHA-256 of the archive that the settings name by an address.

    Raises:
        UserError: `data.source` is an address and `data.sha256` is not set.
    """
    if settings.data.sha256:
        return settings.data.sha256
    if settings.data.source not in BUILT_IN:
        raise UserError(
            "data.source is an address, but data.sha256 is not set",  # the address may have credentials in it
            hint="give the archive's SHA-256 with --set data.sha256=…, or set data.source to sample or full",
        )
    return BUILT_IN[settings.data.source]


def local_source(settings: Settings) -> Path | None:
    """Return the file or folder of this machine that the settings name; None for an address or a built-in source."""
    source = settings.data.source
    if source in BUILT_IN or settings.data.sha256 or "://" in source.removeprefix("file://"):
        return None
    return Path(url2pathname(urlsplit(source).path) if source.startswith("file://") else source).expanduser()


def run(context: StageContext) -> StageOutput:
    """Fetch, unpack, check and prepare the source, which is not kept."""
    if "source" in context.files:
        return _local(context)
    archive = context.folder / "archive"
    _fetch(context, archive)
    try:
        return _archive(context, archive)
    except BaseException:
        shutil.rmtree(context.folder)  # only a partial archive is worth keeping, to resume the download
        raise


def _local(context: StageContext) -> StageOutput:
    files, path = context.files["source"], local_source(context.settings)
    shutil.rmtree(context.folder)  # of a killed run
    context.folder.mkdir()
    if path is not None and path.suffix.lower() in TABLES:
        return _prepare(context, files, path.name)
    if path is not None and path.is_file():
        return _archive(context, path)
    return _files(context, files)


def _archive(context: StageContext, archive: Path) -> StageOutput:
    with open_members(archive) as members:
        records = any(PurePosixPath(name).name in PLACES for name, _ in members)
    if records:
        return _records(context, archive)
    folder = context.folder / "source"
    extract(archive, folder)
    return _files(context, import_module("infra.store.artifacts").folder_files(folder)[1])


def _files(context: StageContext, files: Mapping[str, LocalFile]) -> StageOutput:
    """Read CIFAR's versions other than CIFAR-10's records, or prepare pictures."""
    cifar = import_module("tasks.dataset.cifar")
    if not cifar.is_cifar(list(files)):
        return _prepare(context, files)
    arrays = cifar.read(files, context.settings.data.labels)
    if arrays.batches:
        return _record_files(context, arrays.names, arrays.batches)
    prepare = import_module("tasks.dataset.prepare")
    folder, report = prepare.write_arrays(arrays, _rules(context.settings), context.folder)
    return _output(context, folder, report, arrays.kind)


def _record_files(context: StageContext, names: Sequence[str], batches: Mapping[str, bytes]) -> StageOutput:
    """Write CIFAR-10's Python version in the form of its records."""
    tree = context.folder / "cifar10"
    for name, content in {**batches, "batches.meta.txt": "".join(f"{name}\n" for name in names).encode()}.items():
        target = tree / PLACES[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return _checked(tree)


def _prepare(context: StageContext, files: Mapping[str, LocalFile], table: str | None = None) -> StageOutput:
    """Prepare pictures, and write the report."""
    begun = time.monotonic()

    def progress(done: float, total: float) -> None:
        context.reporter.progress("download", done, total, "pictures")

    made = import_module("tasks.dataset.prepare").prepare(
        files, table, _rules(context.settings), context.folder, context.world.home, progress
    )
    seconds = time.monotonic() - begun
    return _output(context, made.folder, made.report, f"{made.decoded:,} decoded in {seconds:.1f} s")


def _output(context: StageContext, folder: Path, found: Report, note: str) -> StageOutput:
    """Write the report next to the data set, and say what a person should look at."""
    report = context.folder / "report"
    import_module("tasks.dataset.report").write(found, folder, report)
    for text in found.warnings():
        context.reporter.line("download", text)
    parts = " and ".join(f"{count:,} {part}" for part, count in found.parts.items())
    return StageOutput({"data": folder, "report": report}, f"{parts} images of {len(found.classes)} classes; {note}")


def _records(context: StageContext, archive: Path) -> StageOutput:
    """Unpack and check CIFAR-10's records."""
    tree = context.folder / "cifar10"
    unpack(archive, tree)
    return _checked(tree)


def _checked(tree: Path) -> StageOutput:
    check_class_names(tree / PLACES["batches.meta.txt"])
    records = {name: check_records(tree / place) for name, place in PLACES.items() if name.endswith(".bin")}
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
    with open_members(archive) as members:
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


def _rules(settings: Settings) -> Rules:
    data = settings.data
    values = {
        "size": import_module("tasks.specs").train_spec(settings).image_size,
        "fit": data.fit,
        "interpolation": data.interpolation,
        "orientation": data.orientation,
        "eval_share": data.eval_share,
        "seed": data.seed,
        "max_unusable": data.max_unusable,
        "labels": data.labels,
    }
    rules: Rules = import_module("tasks.dataset.values").Rules(**values)
    return rules


def _external_inputs(settings: Settings) -> Mapping[str, Path]:
    path = local_source(settings)
    if path is None:
        return {}
    return {"source": path.parent if path.suffix.lower() in TABLES else path}


def _settings(settings: Settings) -> Mapping[str, Any]:
    if settings.data.source in BUILT_IN:
        return {"archive": archive_digest(settings)}
    path = local_source(settings)
    if path is None:
        return {"archive": archive_digest(settings), "rules": vars(_rules(settings))}
    return {"table": path.name if path.suffix.lower() in TABLES else "", "rules": vars(_rules(settings))}


def _code(settings: Settings) -> tuple[str, ...]:
    return () if settings.data.source in BUILT_IN else ("tasks.dataset.prepare", "tasks.dataset.worker")


STAGE = Stage(
    "download",
    "pure",
    run,
    external_inputs=_external_inputs,
    settings=_settings,
    code=_code,
    tools=("numpy", "pillow"),
    resumes=True,
)
