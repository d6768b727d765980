from pathlib import Path
from typing import Any

import pytest

from flows.context import open_chain
from infra.errors import UserError
from infra.external_files import AddressedFiles
from tasks.engine.reporter import Silent
from tasks.pipeline import NAMES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_chain_is_put_together_and_nothing_is_started_or_written(home: Path) -> None:
    chain = open_chain("local", {"train.epochs": "3"}, Silent())
    assert tuple(chain.stages) == NAMES
    assert chain.home == home
    assert chain.settings.train.overrides() == {"epochs": 3}
    assert not home.exists()


def test_looking_at_a_new_home_starts_nothing(home: Path) -> None:
    assert {look.state for look in open_chain("local", {}, Silent()).look_at_all()} == {"missing"}
    assert not (home / "services").exists()


def test_what_lies_in_a_bucket_is_a_file_from_there_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def local_copy(files: Any, address: Any) -> Any:
        asked.append(address)
        return home / "inputs" / address.rpartition("/")[2]

    monkeypatch.setattr(AddressedFiles, "local_copy", local_copy)
    chain = open_chain("local", {"train.pretrained": "obs://bucket/start.ckpt"}, Silent())
    assert chain.settings.train.pretrained == str(home / "inputs" / "start.ckpt")
    assert asked == ["obs://bucket/start.ckpt"]


@pytest.mark.parametrize(
    ("profile", "overrides"),
    [
        ("locl", {}),
        ("local", {"trian.epochs": "3"}),
        ("local", {"obs.bucket": "NO"}),
        ("local", {"train.epoch": "3"}),
        ("local", {"train.epochs": "three"}),
        ("local", {"train.recipe": "lenet"}),
    ],
)
def test_a_wrong_request_is_refused(home: Path, profile: str, overrides: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        open_chain(profile, overrides, Silent())


def test_a_wrong_fault_plan_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLASFLOW_FAULTS", "explode")
    with pytest.raises(UserError, match="'explode' is not a fault"):
        open_chain("local", {}, Silent())
