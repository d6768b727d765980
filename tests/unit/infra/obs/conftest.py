import asyncio
import gc
import hashlib
import secrets
import threading
from contextlib import ExitStack, contextmanager

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
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def server(home):
    """Settings of a running embedded server."""
    services = Services(home)
    services.start(seaweedfs.service(services, home))
    yield seaweedfs.reach(ObsSettings(), services, home)
    services.stop(seaweedfs.NAME)


@pytest.fixture
def settings(server):
    """Settings with a bucket of their own on the embedded server, which holds nothing unfinished in the end."""
    settings = server.model_copy(update={"bucket": f"test-{secrets.token_hex(6)}"})
    client = connect(settings)
    client.ensure_bucket()
    yield settings
    assert client.unfinished("") == []
    client.delete(key for key, _ in client.list(""))
    client.remove_bucket()


@pytest.fixture
def client(settings):
    return connect(settings, emulated=True, retry=RETRY)


@pytest.fixture
def local(tmp_path):
    def write(data, name="in"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return LocalFile(path, hashlib.sha256(data).hexdigest(), len(data))

    return write


@contextmanager
def serving(middleware):
    """Run the middleware in a thread of its own."""
    started = threading.Event()
    loop = asyncio.new_event_loop()
    finish = asyncio.Event()

    async def serve():
        async with middleware.running():
            started.set()
            await finish.wait()

    def run():
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
def as_obs(settings, home):
    """Settings that reach the server as OBS is reached: its host names, TLS, its refusals, and a fault plan."""
    with ExitStack() as stack:

        def start(faults="", *, scheme="https", path_style=False, checksums=False):
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
def obs(as_obs):
    """A client that goes through the middleware, and the middleware."""

    def make(faults="", client_faults=NO_FAULTS, **options):
        middleware, settings = as_obs(faults, **options)
        return connect(settings, retry=RETRY, faults=client_faults), middleware

    return make
