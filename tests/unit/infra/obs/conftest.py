import asyncio
import gc
import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.faults import NO_FAULTS, FaultPlan
from infra.obs.client import connect
from infra.obs.emulator import rules, seaweedfs
from infra.obs.emulator.middleware import Middleware
from infra.ports.values import LocalFile
from infra.services import Services
from infra.settings import ObsSettings, RetrySettings

RETRY = RetrySettings(attempts=3, seconds=0.01)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def server(home: Any) -> Iterator[Any]:
    """Settings of a running embedded server."""
    services = Services(home)
    services.start(seaweedfs.service(services, home))
    yield seaweedfs.reach(ObsSettings(), services, home)
    services.stop(seaweedfs.NAME)


@pytest.fixture
def settings(server: Any) -> Iterator[Any]:
    """Settings with a bucket of their own on the embedded server, which holds nothing unfinished in the end."""
    settings = server.model_copy(update={"bucket": f"test-{secrets.token_hex(6)}"})
    client = connect(settings)
    client.ensure_bucket()
    yield settings
    assert client.unfinished("") == []
    client.delete(key for key, _ in client.list(""))
    client.remove_bucket()


@pytest.fixture
def client(settings: Any) -> Any:
    return connect(settings, emulated=True, retry=RETRY)


@pytest.fixture
def local(tmp_path: Path) -> Any:
    def write(data: Any, name: str = "in") -> Any:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return LocalFile(path, hashlib.sha256(data).hexdigest(), len(data))

    return write


@contextmanager
def serving(middleware: Any) -> Iterator[Any]:
    """Run the middleware in a thread of its own."""
    started = threading.Event()
    loop = asyncio.new_event_loop()
    finish = asyncio.Event()

    async def serve() -> None:
        async with middleware.running():
            started.set()
            await finish.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(finish.set)
        thread.join(10)
        # Cut connections leave cycles that hold bodies of many megabytes, and Python counts objects, not bytes: without
        # this, a run of all tests would grow by gigabytes.
        gc.collect()


@pytest.fixture
def as_obs(settings: Any, home: Any) -> Iterator[Any]:
    """Settings that reach the server as OBS is reached: its host names, TLS, its refusals, and a fault plan."""
    with ExitStack() as stack:

        def start(faults: str = "", *, scheme: str = "https", path_style: bool = False, checksums: bool = False) -> Any:
            middleware = Middleware(
                upstream=int(settings.endpoint.rpartition(":")[2]),
                path_style=path_style,
                checksums=checksums,
                faults=FaultPlan.parse(faults),
                certificates=home / "certificates",
            )
            stack.enter_context(serving(middleware))
            return middleware, settings.model_copy(
                update={
                    "endpoint": f"{scheme}://{rules.domain('cn-north-4')}",
                    "proxy": f"http://127.0.0.1:{middleware.port}",
                    "ca": str(rules.ca_file(home / "certificates", "cn-north-4")),
                }
            )

        yield start


@pytest.fixture
def obs(as_obs: Any) -> Any:
    """A client that goes through the middleware, and the middleware."""

    def make(faults: str = "", client_faults: Any = NO_FAULTS, **options: Any) -> Any:
        middleware, settings = as_obs(faults, **options)
        return connect(settings, retry=RETRY, faults=client_faults), middleware

    return make
