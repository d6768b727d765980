import json
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
