"""One cluster for the tests of this folder: PostgreSQL, Redis, an object store, the server, its services, two workers.

All but the object store is what `infra/compose.yaml` says, command by command.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.obs.emulator import seaweedfs
from infra.obs.factory import open_bucket
from infra.services import Services
from infra.settings import ObsSettings, RetrySettings
from tests.cluster import composed, databases
from tests.e2e.conftest import shared, small_archive

__all__ = ["shared", "small_archive"]
MIRROR = "obs://atlasflow-mirror/store"
WORKERS = ("worker-1", "worker-2")


@dataclass
class Cluster:
    """The running cluster.

    Attributes:
        base: the folder of everything.
        places: what stands for containers.
        api: a client of the Prefect server.
        bucket: the mirror's bucket.
        workers: the processes, by service; their homes are `base/<service>`.
    """

    base: Path
    places: composed.Places
    api: httpx.Client
    bucket: object
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def home(self, worker: Any) -> Any:
        return self.base / worker

    def ask(self, path: Any, **body: Any) -> Any:
        answer = self.api.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def fire(self, stage: Any, **settings: Any) -> Any:
        """Trigger a stage as the UI does; returns the id of the flow run."""
        found = self.api.get(f"/deployments/name/{stage}/{stage}")
        found.raise_for_status()
        request = {"request": {"settings": {name.replace("__", "."): value for name, value in settings.items()}}}
        return self.ask(f"/deployments/{found.json()['id']}/create_flow_run", parameters=request)["id"]

    def runs(self, ids: Any) -> Any:
        """The flow runs by id."""
        found = self.ask("/flow_runs/filter", flow_runs={"id": {"any_": list(ids)}}, limit=200)
        return {run["id"]: run for run in found}

    def tasks(self, ids: Any, name: Any) -> Any:
        """The task runs of one name in flow runs."""
        wanted = {"flow_runs": {"id": {"any_": list(ids)}}, "task_runs": {"name": {"any_": [name]}}}
        return self.ask("/task_runs/filter", **wanted, limit=200)

    def wait(self, ids: Any, seconds: Any) -> Any:
        """Wait until all runs have ended; returns them."""
        deadline = time.monotonic() + seconds
        while True:
            runs = self.runs(ids)
            if all(run["state_type"] in ("COMPLETED", "FAILED", "CANCELLED") for run in runs.values()):
                return runs
            states = {run["name"]: run["state_name"] for run in runs.values()}
            assert time.monotonic() < deadline, f"after {seconds} s: {states}\n{self.logs()}"
            time.sleep(1)

    def logs(self) -> Any:
        texts = {path.name: path.read_text(errors="replace")[-3000:] for path in sorted(self.base.glob("*.log"))}
        return "\n".join(f"--- {name}\n{text}" for name, text in texts.items())


def free_ports(count: Any) -> Any:
    with contextlib.ExitStack() as stack:
        return [str(stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]) for _ in range(count)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if databases.postgres_programs() is None or shutil.which("redis-server") is None:
        pytest.skip("postgresql and redis-server are not installed: apt-get install postgresql redis-server")
    base = tmp_path_factory.mktemp("cluster")
    ports = dict(zip(("postgres", "redis", "server", *WORKERS), free_ports(5), strict=True))
    with contextlib.ExitStack() as stack:
        services = Services(base / "bucket")
        services.start(seaweedfs.service(services, base / "bucket"))
        stack.callback(services.stop, seaweedfs.NAME)
        settings = seaweedfs.reach(ObsSettings(bucket="atlasflow-mirror"), services, base / "bucket")
        secrets = base / "secrets"
        secrets.mkdir()
        (secrets / "obs__access_key").write_text(settings.access_key.get_secret_value())
        (secrets / "obs__secret_key").write_text(settings.secret_key.get_secret_value())
        given = {
            "POSTGRES_PASSWORD": databases.password(),
            "PREFECT_API_AUTH_STRING": f"atlasflow:{databases.password()}",
            "ATLASFLOW_STORE__MIRROR": MIRROR,
            "ATLASFLOW_OBS__ENDPOINT": settings.endpoint,
        }
        there = {"postgres": "5432", "redis": "6379", "server": "4200"} | dict.fromkeys(WORKERS, "8080")
        places = composed.Places(
            base, given, {name: {there[name]: ports[name]} for name in ports}, secrets,
            # Quicker than in service: workers look for runs more often, several trainings go on at once, the dead are
            # found sooner, and the kernels are those that other tests have compiled.
            {
                "PREFECT_WORKER_QUERY_SECONDS": "2",
                "ATLASFLOW_PREFECT__TRAINING_JOBS": "4",
                "ATLASFLOW_PREFECT__CRASHED_SECONDS": "70",
                "ATLASFLOW_KERNELS": os.environ["ATLASFLOW_KERNELS"],
            },
        )  # fmt: skip
        stack.enter_context(databases.postgres(ports["postgres"], given["POSTGRES_PASSWORD"], base / "postgres.log"))
        home = base / "server"
        home.mkdir()
        own = ["--port", ports["redis"], "--bind", "127.0.0.1", "--dir", str(home), "--save", ""]
        stack.callback(composed.stop, places.start("redis", home, *own))
        places.run("migrate", home)
        for name in ("server", "services"):
            stack.callback(composed.stop, places.start(name, home))
        user, _, password = given["PREFECT_API_AUTH_STRING"].partition(":")
        address = f"http://127.0.0.1:{ports['server']}/api"
        api = stack.enter_context(httpx.Client(base_url=address, auth=(user, password), timeout=30))
        bucket = open_bucket(settings, services, base / "bucket", RetrySettings())
        cluster = Cluster(base, places, api, bucket)
        _wait_until_healthy(cluster, "server", home)
        places.run("deployments", home)
        for name in WORKERS:
            cluster.home(name).mkdir()
            cluster.workers[name] = places.start(name, cluster.home(name))
            stack.callback(composed.stop, cluster.workers[name])
        yield cluster


def _wait_until_healthy(cluster: Any, service: Any, home: Any) -> None:
    """Ask as compose does, with the health check of the file."""
    deadline = time.monotonic() + 300
    while True:
        command = cluster.places.health_command(service, home)
        if subprocess.run(command, cwd=composed.CHECKOUT, capture_output=True, check=False).returncode == 0:
            return
        assert time.monotonic() < deadline, cluster.logs()
        time.sleep(0.5)
