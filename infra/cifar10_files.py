"""CIFAR-10 files as MindSpore's `Cifar10Dataset` reads them: exactly 10,000 records each.

Source: docs/reference/cifar10.md §7.4.
"""

from collections.abc import Mapping
from pathlib import Path

from infra.errors import UserError
from infra.ports.values import LocalFile
from infra.store.atomic import replacing

FILE_RECORDS = 10_000
_RECORD_BYTES = 1 + 3 * 32 * 32
_TRAIN, _EVAL = "train", "eval"


def write(files: Mapping[str, LocalFile], folder: Path) -> dict[str, int]:
    """Write a data set with files of 10,000 records; smaller ones are filled with their images again, in order.

    So a data set whose size divides a multiple of 10,000 holds every image equally often.

    Args:
        files: of the data set, by path in it, such as `train/data_batch_1.bin`.
        folder: receives `train/`, `eval/` and `batches.meta.txt`.

    Returns:
        How many different images `train` and `eval` hold.

    Raises:
        UserError: the data set is none of CIFAR-10's binary form.
    """
    counts = {}
    for part, stem in ((_TRAIN, "data_batch"), (_EVAL, "test_batch")):
        names = [name for name in sorted(files) if name.startswith(f"{part}/") and name.endswith(".bin")]
        records = b"".join(files[name].path.read_bytes() for name in names)
        if not records or len(records) % _RECORD_BYTES:
            raise UserError(
                f"the data set has no CIFAR-10 records under {part}/",
                hint="Cifar10Dataset reads CIFAR-10's binary version; folders of images go to ImageFolderDataset",
            )
        counts[part] = len(records) // _RECORD_BYTES
        for number, content in enumerate(_full_files(records), 1):
            name = f"{stem}_{number}.bin" if part == _TRAIN else f"{stem}.bin"
            _write(folder / part / name, content)
    if "batches.meta.txt" in files:
        _write(folder / "batches.meta.txt", files["batches.meta.txt"].path.read_bytes())
    return counts


def _full_files(records: bytes) -> list[bytes]:
    """Return the contents of as many full files as the records need."""
    size = FILE_RECORDS * _RECORD_BYTES
    count = -(-len(records) // size)
    filled = (records * (-(-count * size // len(records))))[: count * size]
    return [filled[start : start + size] for start in range(0, count * size, size)]


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
