import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.notebooks import IMAGE, Notebooks
from infra.modelarts.emulator.offers import FLAVOR
from tests.unit.infra.modelarts.conftest import Json

BODY: Json = {"name": "n", "flavor": FLAVOR, "image_id": IMAGE}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notebooks.json"


def age(path: Path, seconds: float) -> None:
    """Move all instances into the past."""
    stored = json.loads(path.read_text())
    for instance in stored.values():
        instance["changed"] -= seconds
        instance["lease"]["update_at"] -= int(seconds * 1000)
    path.write_text(json.dumps(stored))


def status(path: Path, identity: str) -> str:
    return str(Notebooks(path).show(identity)["status"])


def test_an_instance_survives_a_restart_and_stops_at_the_end_of_its_lease(path: Path) -> None:
    created = Notebooks(path).create(BODY)
    identity = str(created["id"])
    assert created["status"] == "CREATING"
    age(path, 60)
    assert status(path, identity) == "RUNNING"
    age(path, 3600)
    assert status(path, identity) == "STOPPED"


def test_only_a_stopped_instance_starts_and_only_a_running_one_stops(path: Path) -> None:
    notebooks = Notebooks(path)
    identity = str(notebooks.create(BODY)["id"])
    with pytest.raises(ApiError, match="only a stopped notebook"):
        notebooks.start(identity, None)
    with pytest.raises(ApiError, match="only a running notebook"):
        notebooks.stop(identity)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "a b"}, ErrorCode.INVALID_PARAMETER),
        ({"flavor": "absent"}, ErrorCode.UNKNOWN_FLAVOR),
        ({"image_id": "absent"}, ErrorCode.INVALID_PARAMETER),
        ({"volume": {"category": "OBS"}}, ErrorCode.INVALID_PARAMETER),
        ({"duration": 1}, ErrorCode.INVALID_PARAMETER),
        ({"duration": "long"}, ErrorCode.INVALID_PARAMETER),
    ],
)
def test_an_invalid_request_is_refused(path: Path, changes: Json, code: ErrorCode) -> None:
    with pytest.raises(ApiError) as caught:
        Notebooks(path).create({**BODY, **changes})
    assert caught.value.code == code
    assert not path.exists()


def test_an_unknown_instance_is_refused(path: Path) -> None:
    with pytest.raises(ApiError, match="does not exist"):
        Notebooks(path).delete("absent")


def test_a_page_is_filtered_by_parts_of_name_and_status(path: Path) -> None:
    notebooks = Notebooks(path)
    for name in ("one", "two"):
        notebooks.create({**BODY, "name": name})
    assert notebooks.page({"name": "tw"}, 0, 10)["total"] == 1
    assert notebooks.page({"status": "STOPPED"}, 0, 10)["total"] == 0
    page = notebooks.page({}, 1, 1)
    assert (page["total"], page["pages"], page["current"]) == (2, 2, 1)


@dataclass
class Behind:
    """A Jupyter that answers when a test says so."""

    folder: Path
    storage: str
    url: str = "http://127.0.0.1:1/lab?token=secret"
    failure: str = ""
    is_ready: bool = True
    calls: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.calls.append("start")
        self.folder.mkdir(parents=True, exist_ok=True)

    def ready(self) -> bool:
        return self.is_ready

    def stop(self) -> None:
        self.calls.append("stop")


@pytest.fixture
def opened() -> list[Behind]:
    return []


@pytest.fixture
def with_jupyter(path: Path, opened: list[Behind]) -> Callable[[], Notebooks]:
    """Open the instances of a file, with a Jupyter behind each."""

    def behind(folder: Path, storage: str) -> Behind:
        opened.append(Behind(folder, storage))
        return opened[-1]

    return lambda: Notebooks(path, behind)


def test_an_instance_runs_when_its_jupyter_answers(
    path: Path, with_jupyter: Callable[[], Notebooks], opened: list[Behind]
) -> None:
    volume = {"category": "OBS", "uri": "obs://b/lesson/", "dew_secret_name": "mine"}
    identity = str(with_jupyter().create({**BODY, "volume": volume})["id"])
    assert opened[0].storage == "obs://b/lesson/"
    age(path, 60)
    notebooks = with_jupyter()
    opened[1].is_ready = False
    assert notebooks.show(identity)["status"] == "CREATING"
    opened[1].is_ready = True
    shown = notebooks.show(identity)
    assert (shown["status"], shown["url"]) == ("RUNNING", opened[1].url)
    notebooks.stop(identity)
    assert opened[1].calls == ["start", "stop"]
    notebooks.delete(identity)
    assert not opened[1].folder.exists()


def test_a_lease_ends_although_nobody_asks(
    path: Path, with_jupyter: Callable[[], Notebooks], opened: list[Behind]
) -> None:
    identity = str(with_jupyter().create(BODY)["id"])
    age(path, 60)
    with_jupyter().show(identity)
    age(path, 3600)
    notebooks = with_jupyter()
    notebooks.sweep()
    assert opened[-1].calls == ["start", "stop"]
    assert json.loads(path.read_text())[identity]["status"] == "STOPPED"
    notebooks.close()
    assert opened[-1].calls == ["start", "stop"]


def test_a_jupyter_that_ended_is_an_error_with_its_reason(
    path: Path, with_jupyter: Callable[[], Notebooks], opened: list[Behind]
) -> None:
    notebooks = with_jupyter()
    identity = str(notebooks.create(BODY)["id"])
    opened[0].failure = "Jupyter ended with code 1: no module"
    shown = notebooks.show(identity)
    assert (shown["status"], shown["fail_reason"]) == ("ERROR", opened[0].failure)
