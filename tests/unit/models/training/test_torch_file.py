"""Files of PyTorch are read without PyTorch, and nothing in them runs."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.failures import Damage, InputError
from models.training import torch_file
from tests.unit.models.training.torch_files import Called, Global, Tensor, imported, state, write_archive, write_stream

Write = Callable[[Path, Any], Path]
WRITERS = pytest.mark.parametrize("write", [write_archive, write_stream])
VALUES: dict[str, Any] = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn1.num_batches_tracked": np.int64(7),
    "fc.bias": np.array([0.5, -1], np.float64),
    "half": np.array([1, 2.5], np.float16),
    "mask": np.array([True, False]),
}


@WRITERS
def test_every_tensor_is_read_with_its_type(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "w.pth", state(VALUES))
    assert torch_file.is_torch(path)
    found = torch_file.read(path)
    assert set(found) == set(VALUES)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == np.asarray(value).dtype
    assert imported() == set()


@WRITERS
def test_a_training_state_is_a_dictionary_of_dictionaries(write: Write, tmp_path: Path) -> None:
    weights, momentum = np.ones((2, 3), np.float32), Tensor(np.zeros(2, np.float32))
    optimizer = {"state": {0: {"momentum_buffer": momentum}}, "param_groups": [{"lr": 0.1}]}
    training = {"epoch": 3, "arch": "resnet18", "best": 0.71, "optimizer": optimizer}
    training["state_dict"] = state({"fc.weight": weights})
    found = torch_file.read(write(tmp_path / "checkpoint.pth.tar", training))
    assert set(found) == {"state_dict.fc.weight", "optimizer.state.0.momentum_buffer"}


@WRITERS
def test_strides_and_bfloat16_are_understood(write: Write, tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    upper = (np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    found = torch_file.read(
        write(tmp_path / "w.pt", state({"t": Tensor(values, transposed=True), "b": Tensor(upper, "bfloat16")}))
    )
    np.testing.assert_array_equal(found["t"], values.T)
    np.testing.assert_array_equal(found["b"], [1.5, -2.0])


@WRITERS
@pytest.mark.parametrize(
    "target", [("os", "system"), ("builtins", "eval"), ("torchvision.models.resnet", "ResNet"), ("numpy", "load")]
)
def test_nothing_else_is_built_or_run(write: Write, tmp_path: Path, target: tuple[str, str]) -> None:
    mark = tmp_path / "ran"
    content = {"weight": Tensor(np.ones(1, np.float32)), "model": Called(Global(*target), f"touch {mark}")}
    path = write(tmp_path / "w.pth", content)
    with pytest.raises(InputError, match=rf"{target[0]}\.{target[1]}, which is no tensor") as caught:
        torch_file.read(path)
    assert "state_dict()" in caught.value.hint
    assert not mark.exists()


@WRITERS
def test_a_tensor_stays_in_its_storage(write: Write, tmp_path: Path) -> None:
    for size in ((9,), (-1,)):
        path = write(tmp_path / "w.pth", state({"w": Tensor(np.ones(4, np.float32), size=size)}))
        with pytest.raises(Damage, match="beyond its storage"):
            torch_file.read(path)


@WRITERS
def test_a_short_file_is_damaged(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "w.pth", state(VALUES))
    whole = path.read_bytes()
    for length in range(2, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises((Damage, InputError)):
            torch_file.read(path)


def test_flipped_bytes_never_end_in_another_error(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    path = write_stream(tmp_path / "w.pth", state(VALUES))
    whole = bytearray(path.read_bytes())
    for _ in range(300):
        changed = bytearray(whole)
        changed[int(random.integers(len(whole)))] ^= int(random.integers(1, 256))
        path.write_bytes(changed)
        try:
            torch_file.read(path)
        except (Damage, InputError):
            continue


def test_other_pickles_and_archives_are_not_of_pytorch(tmp_path: Path) -> None:
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(InputError, match="none of PyTorch"):
        torch_file.read(path)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as pack:
        pack.writestr("a.txt", "text")
    assert not torch_file.is_torch(tmp_path / "other.zip")
    empty = write_archive(tmp_path / "empty.pth", {"epoch": 1})
    with pytest.raises(InputError, match="holds no tensors"):
        torch_file.read(empty)
