"""Whatever the stand-in is sent, it answers as the platform does: an error code, and never a traceback."""

import copy
import itertools
import json
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import AtlasFlowError
from infra.modelarts.emulator.api import Api
from infra.modelarts.emulator.errors import ApiError
from infra.modelarts.emulator.notebooks import Notebooks
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.route import Call, Route
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeBody

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**70, 1.5, 1e300, "", "x", "ä\u4e2d", "\0", "\ud800", "../..", "/", "a" * 5000,
    [], [[]], [None], [7], ["x"], {}, {"x": None}, {"obs": 7}, [{}], [{"name": 7}], {"name": {}}, "obs://bucket/", "\n",
]  # fmt: skip


@pytest.fixture
def api(tmp_path: Path, store: doubles.FolderStore) -> Iterator[Api]:
    slow = doubles.QUICK.model_copy(update={"creating_seconds": 3600})
    platform = Platform(tmp_path / "jobs", lambda _bucket: store, "", slow)
    yield Api(platform, Notebooks(tmp_path / "notebooks.json"), lambda _bucket: store)
    platform.close()


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of each part of a JSON value."""
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in items:
        yield from paths(part, (*here, name))


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """Return a copy with one part replaced."""
    if not place:
        return new
    found = copy.deepcopy(value)
    inner = found
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = new
    return found


def ask(route: Route, body: object, **path: str) -> int:
    """Call a route; return the status of its answer, which can be written as JSON."""
    values = {"project": "p", "job": "j", "task": "worker-0", "id": "i", "kind": "k", "name": "n", "trial": "t", **path}
    try:
        status, content = route.handler(Call(values, {}, json.dumps(body).encode(), "application/json"))
    except ApiError as error:
        return error.code.status
    except AtlasFlowError:
        return 400
    json.dumps(content).encode()
    return status


def test_each_part_of_a_job_may_be_anything(api: Api, body: MakeBody) -> None:
    create = next(route for route in api.routes if route.name == "create")
    good = body()
    good["spec"]["schedule_policy"] = {"priority": 1, "preemptible": False}
    good["spec"]["resource"]["pool_id"] = "pool-1"
    good["spec"]["volumes"] = [{"obs": {"obs_path": "obs://bucket/af/", "local_path": "/mnt/x"}}]
    good["algorithm"]["parameters"] = [{"name": "n", "value": "v"}]
    assert ask(create, good) == 201
    statuses = set()
    for number, (place, value) in enumerate(itertools.product(paths(good), VALUES)):
        named = changed(good, ("metadata", "name"), f"job-{number}")
        statuses.add(ask(create, changed(named, place, value)))
    assert statuses == {201, 400}
    assert len(api.jobs()) > 50
    for record in api.jobs():
        assert json.loads(json.dumps(record.to_api()))["kind"] == "job"


def test_each_call_may_get_anything(api: Api, body: MakeBody) -> None:
    dice = random.Random(7)
    create = next(route for route in api.routes if route.name == "create")
    ask(create, body())
    (record,) = api.jobs()
    for route in api.routes:
        for value in VALUES:
            for job in (record.id, "absent"):
                wrapped = dice.choice(
                    [value, {"tags": value}, {"metadata": value}, {"jobs": value}, {"filters": value}]
                )
                assert ask(route, wrapped, job=job) in range(200, 500), (route.name, wrapped)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v2/p/training-jobs HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /v2/p/training-jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /v2/%00/training-jobs?\xff HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xfe\r\n\r\n",
        b"GET /v2/p/training-jobs HTTP/1.1\r\nHost: x\r\nAuthorization: SDK-HMAC-SHA256 Access=,Signed\r\n\r\n",
        b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_each_connection_gets_an_answer(
    tmp_path: Path, store: doubles.FolderStore, request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with doubles.stand_in(tmp_path, store) as (_, settings):
        port = int(settings.endpoint.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request_)
            status = connection.recv(4096).split(b" ")[1]
    assert status.startswith(b"4")
    assert "Traceback" not in capfd.readouterr().err
