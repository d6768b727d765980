"""The data set as files that MindSpore reads: full files, every image equally often."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from infra.cifar10_files import write
from infra.errors import UserError
from infra.ports.values import LocalFile
from infra.store.local_files import describe_folder

RECORD = 3073


def data_set(folder: Path, train: int, evaluation: int) -> dict[str, LocalFile]:
    """Write numbered records: `train` in two files, `evaluation` in one."""
    for name, numbers in (
        ("train/data_batch_1.bin", range(train // 2)),
        ("train/data_batch_2.bin", range(train // 2, train)),
        ("eval/test_batch.bin", range(evaluation)),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        records = [bytes([number % 10]) + number.to_bytes(2) * (RECORD // 2) for number in numbers]
        path.write_bytes(b"".join(records))
    (folder / "batches.meta.txt").write_text("airplane\n")
    return describe_folder(folder)


def images(path: Path) -> Counter[bytes]:
    content = path.read_bytes()
    assert len(content) == 10_000 * RECORD
    return Counter(content[start : start + 5] for start in range(0, len(content), RECORD))


def test_small_files_are_filled_evenly(tmp_path: Path) -> None:
    counts = write(data_set(tmp_path / "from", 5000, 1000), tmp_path / "to")
    assert counts == {"train": 5000, "eval": 1000}
    assert set(images(tmp_path / "to/train/data_batch_1.bin").values()) == {2}
    assert set(images(tmp_path / "to/eval/test_batch.bin").values()) == {10}
    assert (tmp_path / "to/batches.meta.txt").read_text() == "airplane\n"


def test_full_files_stay_as_they_are(tmp_path: Path) -> None:
    files = data_set(tmp_path / "from", 20_000, 10_000)
    write(files, tmp_path / "to")
    for name in files:
        assert (tmp_path / "to" / name).read_bytes() == files[name].path.read_bytes()


def test_other_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "from" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "from" / "train" / "cat" / "1.png").touch()
    with pytest.raises(UserError, match="no CIFAR-10 records under train/"):
        write(describe_folder(tmp_path / "from"), tmp_path / "to")


@pytest.mark.slow
@pytest.mark.mindspore
def test_mindspore_reads_them(tmp_path: Path) -> None:
    write(data_set(tmp_path / "from", 200, 100), tmp_path / "to")
    program = (
        "import sys, mindspore.dataset as ds\n"
        "for part in ('train', 'eval'):\n"
        "    data = ds.Cifar10Dataset(f'{sys.argv[1]}/{part}', shuffle=False)\n"
        "    print(data.get_dataset_size(), next(data.create_dict_iterator(output_numpy=True))['image'].shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "to")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "10000 (32, 32, 3)\n10000 (32, 32, 3)\n"
