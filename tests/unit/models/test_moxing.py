"""Addresses instead of folders, with a `moxing` of ours that keeps its buckets in a folder."""

import shutil
import sys
import threading
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from models import moxing as remote
from models.failures import InputError


class Buckets:
    """`moxing.file` as modelarts.md §1.7 describes it; counts its copies."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.copies: list[Any] = []

    def _path(self, place: Any) -> Any:
        scheme, found, rest = place.partition("://")
        assert not found or scheme in {"obs", "s3"}
        return self.root / rest if found else Path(place)

    def exists(self, place: Any) -> Any:
        return self._path(place).exists()

    def is_directory(self, place: Any) -> Any:
        return self._path(place).is_dir()

    def copy(self, source: Any, target: Any) -> None:
        self.copies.append(source)
        shutil.copyfile(self._path(source), self._path(target))

    def copy_parallel(self, source: Any, target: Any) -> None:
        self.copies.append(source)
        shutil.copytree(self._path(source), self._path(target), dirs_exist_ok=True)


@pytest.fixture
def buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(remote, "_SCRATCH", tmp_path / "scratch")
    (tmp_path / "buckets/lessons/data/train").mkdir(parents=True)
    (tmp_path / "buckets/lessons/data/train/batch.bin").write_bytes(b"images")
    (tmp_path / "buckets/lessons/start.ckpt").write_bytes(b"parameters")
    moxing: Any = ModuleType("moxing")
    moxing.file = Buckets(tmp_path / "buckets")
    monkeypatch.setitem(sys.modules, "moxing", moxing)
    return moxing.file


def options(**changed: Any) -> Any:
    return Namespace(**{"data_url": "obs://lessons/data/", "train_url": "s3://lessons/results", "spec": "{}"} | changed)


def test_folders_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moxing", None)
    given = options(data_url=tmp_path, train_url=tmp_path / "out")
    with remote.with_local_folders(given, first=True):
        assert (given.data_url, given.train_url) == (tmp_path, tmp_path / "out")


def test_inputs_come_and_results_go(buckets: Any) -> None:
    given = options(pretrain_url="obs://lessons/start.ckpt")
    with remote.with_local_folders(given, first=True):
        assert (given.data_url / "train/batch.bin").read_bytes() == b"images"
        assert given.pretrain_url.name == "start.ckpt"
        assert given.pretrain_url.read_bytes() == b"parameters"
        (given.train_url / "checkpoint.ckpt").write_bytes(b"trained")
    assert (buckets.root / "lessons/results/checkpoint.ckpt").read_bytes() == b"trained"


def test_a_failed_training_leaves_its_state_to_the_next_one(buckets: Any) -> None:
    with pytest.raises(InputError), remote.with_local_folders(given := options(), first=True):
        (given.train_url / "state").write_bytes(b"epoch 3")
        raise InputError("the loss is nan")
    with remote.with_local_folders(given := options(), first=True):
        assert (given.train_url / "state").read_bytes() == b"epoch 3"


def test_two_jobs_of_one_parent_have_nothing_of_each_other(buckets: Any) -> None:
    (buckets.root / "lessons/other/train").mkdir(parents=True)
    (buckets.root / "lessons/other/train/batch.bin").write_bytes(b"other images")
    for data in ("data", "other"):
        given = options(data_url=f"obs://lessons/{data}/", train_url=f"obs://lessons/results-{data}")
        with remote.with_local_folders(given, first=True):
            (given.train_url / f"{data}.ckpt").write_bytes((given.data_url / "train/batch.bin").read_bytes())
    assert [path.name for path in (buckets.root / "lessons/results-other").iterdir()] == ["other.ckpt"]
    assert (buckets.root / "lessons/results-other/other.ckpt").read_bytes() == b"other images"
    assert list(remote._SCRATCH.iterdir()) == []


def test_of_several_processes_one_copies_and_one_writes(buckets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK_SIZE", "4")
    seen = []

    def work(rank: Any) -> None:
        given = options()
        with remote.with_local_folders(given, first=rank == 0):
            seen.append((given.data_url / "train/batch.bin").read_bytes())
            if rank == 0:
                (given.train_url / "result.json").write_text("{}")

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [b"images"] * 4
    assert buckets.copies.count("obs://lessons/data/") == 1
    assert [path.name for path in (buckets.root / "lessons/results").iterdir()] == ["result.json"]


def test_nothing_at_an_address_names_the_option(buckets: Any) -> None:
    missing = remote.with_local_folders(options(data_url="obs://lessons/none"), first=True)
    with pytest.raises(InputError, match=r"--data_url: obs://lessons/none does not exist"):
        missing.__enter__()
    assert buckets.copies == []


def test_without_moxing_the_option_and_the_way_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moxing", None)
    unreadable = remote.with_local_folders(options(), first=True)
    with pytest.raises(InputError, match="--data_url: obs://lessons/data/ needs MoXing") as caught:
        unreadable.__enter__()
    assert "pass folders" in caught.value.hint


@pytest.mark.parametrize(("text", "kind"), [("obs://b/k", str), ("s3://b/k", str), ("/data", Path), ("data", Path)])
def test_an_address_stays_as_it_is_written(text: str, kind: Any) -> None:
    assert (
        type(remote.path_or_address(text)) in {kind, type(Path())}
        if kind is Path
        else type(remote.path_or_address(text)) is kind
    )
