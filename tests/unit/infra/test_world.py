import hashlib
from pathlib import Path
from typing import Any

import pytest

from infra import world as module
from infra.errors import UserError
from infra.ports.training import Epoch, JobStatus, LogLine
from infra.settings import load
from infra.world import World


@pytest.fixture
def world_of(tmp_path: Path) -> Any:
    def make(**overrides: Any) -> Any:
        return World(load(overrides=overrides), tmp_path / "home")

    return make


def test_opening_a_world_starts_and_writes_nothing(world_of: Any, tmp_path: Path) -> None:
    world_of()
    assert not (tmp_path / "home").exists()


def test_a_board_that_the_settings_do_not_know_is_named(world_of: Any) -> None:
    with pytest.raises(UserError) as caught:
        world_of().board("roof")
    assert "there is no board 'roof'" in str(caught.value)
    assert "boards list" in caught.value.hint


@pytest.mark.parametrize("address", ["obs://", "obs://bucket", "obs://bucket/", "obs:///key"])
def test_an_address_that_names_no_object_is_refused(world_of: Any, tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match=r"names no object|is not the address of an object"):
        world_of().external_files().fetch([address], tmp_path / "target", "", lambda done, total: None)


def test_a_file_is_fetched_and_checked(world_of: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"archive")
    told = []
    target = tmp_path / "target"
    digest = hashlib.sha256(b"archive").hexdigest()
    world_of().external_files().fetch([source.as_uri()], target, digest, lambda done, total: told.append((done, total)))
    assert target.read_bytes() == b"archive"
    assert told == [(7, 7)]


def test_the_compiler_follows_the_settings(world_of: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert world_of().compiler().producer().emulated
    assert world_of(**{"convert.compiler": "stand-in"}).compiler().producer().emulated
    with pytest.raises(UserError, match="atc"):
        world_of(**{"convert.compiler": "atc"}).compiler().producer()


def test_training_here_is_no_stand_in(world_of: Any) -> None:
    assert not world_of().trainer().producer().emulated


def test_the_trainer_gets_addresses_made_of_digests_and_events_are_passed_on(
    world_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(**{"obs.bucket": "my-bucket"})
    jobs: list[Any] = []
    epochs: list[Epoch] = []
    status: list[str] = []
    epoch = Epoch(1, 1, 2.0, 3.0, 4.0)

    class Trainer:
        def train(self, job: Any, on_event: Any) -> None:
            jobs.append(job)
            for event in (LogLine("a line"), epoch, JobStatus("queued")):
                on_event(event)

    monkeypatch.setattr(World, "trainer", lambda self: Trainer())
    spec = {"epochs": 1, "classes": 10, "warmup_epochs": 0, "schedule": "cosine", "learning_rate": 0.1}
    world.training().run("k" * 64, tmp_path, "d" * 64, spec, tmp_path / "results", epochs.append, status.append)
    (job,) = jobs
    assert job.data_address.startswith("obs://my-bucket/atlasflow/data/dddd")
    assert job.code_address.startswith("obs://my-bucket/atlasflow/code/")
    assert (epochs, status) == ([epoch], ["queued"])


def test_the_services_are_those_that_stand_in_for_something(world_of: Any) -> None:
    def names(**overrides: Any) -> Any:
        return [service.name for service in world_of(**overrides).local_services()]

    assert names() == ["objectstore", "board-laptop"]
    assert names(**{"obs.stand_in": "as-obs"}) == ["objectstore", "objectstore-obs-cn-north-4", "board-laptop"]
    assert names(**{"obs.endpoint": "https://obs.example"}) == ["board-laptop"]
    assert names(**{"boards.laptop.address": "10.0.0.7"}) == ["objectstore"]
    assert names(**{"deploy.boards": "[]", "obs.endpoint": "https://obs.example"}) == []
    assert len(set(names(**{"train.target": "modelarts"}))) > 2


def test_every_stand_in_says_that_it_is_one(world_of: Any) -> None:
    for service in world_of(**{"train.target": "modelarts", "obs.stand_in": "as-obs"}).local_services():
        assert "stand-in" in service.title


def test_clients_are_imported_when_they_are_opened() -> None:
    assert not {"boto3", "asyncssh", "connect"} & set(vars(module))


def test_locks_across_machines_need_a_mirror_and_a_server_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = {"store.mirror": "obs://bucket/mirror"}
    assert World(load(overrides=mirror), tmp_path).leases() is None
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example:4200/api")
    assert World(load(), tmp_path).leases() is None
    assert World(load(overrides=mirror), tmp_path).leases() is not None
