"""The fault matrix: each fault at each kind of request of each operation, once and for good.

A fault that passes is outlived; one that lasts ends in the right error. Afterwards the bucket holds no unfinished
upload, this machine nothing half-made, and the same operation, tried again, does its work.
"""

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient
from infra.faults import FaultPlan
from infra.obs.client import ObsClient, connect
from infra.obs.emulator import rules
from infra.obs.emulator.middleware import Middleware
from infra.settings import RetrySettings
from infra.store.artifacts import ArtifactStore
from infra.store.digests import file_digest
from infra.store.local_files import describe
from infra.store.mirror import Mirror
from infra.store.receipts import Receipt, Receipts
from tests.unit.infra.obs.conftest import serving

LARGE = 17 * 1024 * 1024
PATIENT = RetrySettings(attempts=3, seconds=0.001)
ERRORS = {
    "slow-down": Transient,
    "internal": Transient,
    "cut": Transient,
    "lost": Transient,
    "skew": Refused,
    "truncate": Transient,
    "alter": Corrupt,
}
BODIES = ("truncate", "alter")  # nothing but the digest of an object tells that the bytes of an answer are others


def write(path: Any, size: Any) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return describe(path)


class World:
    """A prefix of the bucket and a folder of this machine for each try, and a client that meets no fault."""

    def __init__(self, client: Any, folder: Any) -> None:
        self.client = client
        self.folder = folder
        self.small = write(folder / "given" / "small", 70_000)
        self.large = write(folder / "given" / "large", LARGE)
        self.tree = {f"{number}": write(folder / "given" / "tree" / f"{number}", 200) for number in range(3)}
        self.tries = 0
        self.renew()

    def renew(self) -> None:
        self.tries += 1
        self.prefix = f"{self.tries}"
        self.out = self.folder / f"out-{self.tries}"
        self.out.mkdir()

    def address(self, name: Any) -> str:
        return f"obs://{self.client.bucket}/{self.prefix}/{name}"

    def key(self, name: Any) -> str:
        return f"{self.prefix}/{name}"


def nothing(world: Any) -> None:
    pass


def give_small(world: Any) -> None:
    world.client.put(world.key("small"), world.small)


def give_large(world: Any) -> None:
    world.client.put(world.key("large"), world.large)


def give_tree(world: Any) -> None:
    world.client.sync(world.key("tree"), world.tree)


def give_archive(world: Any) -> None:
    world.client.sync_archive(world.key("all.tar"), world.tree)


def give_unfinished(world: Any) -> None:
    s3 = world.client._connection.s3
    s3.create_multipart_upload(Bucket=world.client.bucket, Key=world.key("left"))


def give_nothing_unfinished(world: Any) -> None:
    world.client.abort_unfinished("", timedelta(0))


def give_receipt(world: Any) -> None:
    send_receipt(world.client, world)


def put_small(client: Any, world: Any) -> None:
    client.put(world.key("small"), world.small)
    assert world.client.head(world.key("small")).sha256 == world.small.sha256


def put_large(client: Any, world: Any) -> None:
    client.put(world.key("large"), world.large)
    assert world.client.head(world.key("large")).sha256 == world.large.sha256


def get_small(client: Any, world: Any) -> None:
    assert client.get(world.key("small"), world.out / "small", world.small.sha256) == world.small.sha256


def get_large(client: Any, world: Any) -> None:
    assert client.get(world.key("large"), world.out / "large") == world.large.sha256


def synchronise(client: Any, world: Any) -> None:
    client.sync(world.key("tree"), world.tree)
    assert not world.client.missing(world.key("tree"), world.tree)


def send_archive(client: Any, world: Any) -> None:
    client.sync_archive(world.key("all.tar"), world.tree)
    assert world.client.holds_archive(world.key("all.tar"), world.tree)


def get_archive(client: Any, world: Any) -> None:
    client.get_archive(world.key("all.tar"), world.out / "tree")
    assert {path.name: file_digest(path) for path in (world.out / "tree").iterdir()} == digests(world.tree)


def copy_in(client: Any, world: Any) -> None:
    client.files.copy_parallel(str(world.folder / "given" / "tree"), world.address("tree"))
    assert not world.client.missing(world.key("tree"), world.tree)


def copy_out(client: Any, world: Any) -> None:
    client.files.copy_parallel(world.address("tree"), str(world.out / "tree"))
    assert {path.name: file_digest(path) for path in (world.out / "tree").iterdir()} == digests(world.tree)


def copy_within(client: Any, world: Any) -> None:
    client.files.copy(world.address("small"), world.address("copy"))
    assert world.client.head(world.key("copy")).sha256 == world.small.sha256


def move(client: Any, world: Any) -> None:
    if world.client.head(world.key("tree/0")) is not None:  # the answer to an earlier try may have been lost
        client.files.rename(world.address("tree/0"), world.address("moved"))
    assert world.client.head(world.key("moved")).sha256 == world.tree["0"].sha256


def look(client: Any, world: Any) -> None:
    assert client.head(world.key("small")).sha256 == world.small.sha256
    assert client.head(world.key("absent")) is None


def listing(client: Any, world: Any) -> None:
    assert list(client.list(f"{world.prefix}/")) == [(world.key("small"), 70_000)]


def delete(client: Any, world: Any) -> None:
    client.delete([world.key("small"), world.key("absent")])
    assert world.client.head(world.key("small")) is None


def make_bucket(client: Any, world: Any) -> None:
    settings = client._settings.model_copy(update={"bucket": f"{world.client.bucket}-{world.tries}"})
    new, plain = (ObsClient(each._connection, settings, emulated=True) for each in (client, world.client))
    try:
        new.ensure_bucket()
    finally:
        plain.ensure_bucket()
        plain.remove_bucket()


def prove_access(client: Any, world: Any) -> None:
    assert client.prove_access().seconds > 0


def abort(client: Any, world: Any) -> None:
    client.abort_unfinished(f"{world.prefix}/", timedelta(0))


def receipt_of(world: Any, home: Any) -> Any:
    store, receipts = ArtifactStore(home), Receipts(home)
    receipts.save(Receipt("train", "ab" * 32, {}, {"model": store.put_file("model", world.small.path, "")}))
    return store, receipts


def send_receipt(client: Any, world: Any) -> None:
    store, receipts = receipt_of(world, world.out / "first")
    Mirror(lambda: client, world.key("mirror")).send(receipts.load("train", "ab" * 32), receipts, store)
    assert world.client.head(world.key(f"mirror/receipts/train/{'ab' * 32}.json")) is not None


def fetch_receipt(client: Any, world: Any) -> None:
    home = world.out / "second"
    store, receipts = ArtifactStore(home), Receipts(home)
    try:
        assert Mirror(lambda: client, world.key("mirror")).fetch("train", "ab" * 32, receipts, store)
    finally:
        for path in (home / "objects").glob("??/*"):
            assert file_digest(path) == path.parent.name + path.name
        receipt = receipts.load("train", "ab" * 32)
        if receipt is not None:
            store.verify(receipt.outputs["model"], deep=True)


OPERATIONS = {
    "put_small": (put_small, nothing),
    "put_large": (put_large, nothing),
    "get_small": (get_small, give_small),
    "get_large": (get_large, give_large),
    "synchronise": (synchronise, nothing),
    "send_archive": (send_archive, nothing),
    "get_archive": (get_archive, give_archive),
    "copy_in": (copy_in, nothing),
    "copy_out": (copy_out, give_tree),
    "copy_within": (copy_within, give_small),
    "move": (move, give_tree),
    "look": (look, give_small),
    "list": (listing, give_small),
    "delete": (delete, give_small),
    "make_bucket": (make_bucket, nothing),
    "prove_access": (prove_access, nothing),
    "abort": (abort, give_unfinished),
    "send_receipt": (send_receipt, nothing),
    "fetch_receipt": (fetch_receipt, give_receipt),
}


NAMES = [pytest.param(name, marks=[pytest.mark.slow] * name.endswith("large")) for name in OPERATIONS]


def digests(files: Any) -> Any:
    return {name: file.sha256 for name, file in files.items()}


def half_made(folder: Any) -> Any:
    return [path for path in folder.rglob("*") if path.name.startswith(".") or path.suffix == ".tmp"]


class Trying:
    """Tries operations on one bucket, through a middleware whose fault plan changes."""

    def __init__(self, world: Any, middleware: Any, through: Any) -> None:
        self.world, self.middleware, self.through = world, middleware, through
        self._undisturbed: dict[str, Any] = {}

    def undisturbed(self, name: Any) -> Any:
        """How often an operation makes each request when it meets no fault."""
        if name not in self._undisturbed:
            error, self._undisturbed[name] = self.once(name, "")
            assert error is None
        return self._undisturbed[name]

    def once(self, name: Any, plan: Any) -> Any:
        """Try an operation under a fault plan; returns its error and how often each request was made."""
        run, given = OPERATIONS[name]
        self.middleware.faults = FaultPlan()
        self.world.renew()
        given(self.world)
        self.middleware.faults = FaultPlan.parse(plan)
        try:
            run(self.through, self.world)
        except AtlasFlowError as error:
            self.check(name, error)
            return error, self.middleware.faults.visits
        self.check(name, None)
        return None, self.middleware.faults.visits

    def check(self, name: Any, error: Any) -> None:
        if name == "abort" and error is not None:
            give_nothing_unfinished(self.world)
        assert self.world.client.unfinished("") == []
        assert half_made(self.world.out) == []

    def again(self, name: Any) -> None:
        """The same once more, without faults, where the last try left off."""
        self.middleware.faults = FaultPlan()
        OPERATIONS[name][0](self.through, self.world)
        self.check(name, None)


@pytest.fixture(scope="module")
def tried(server: Any, home: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    settings = server.model_copy(update={"bucket": f"test-{secrets.token_hex(6)}"})
    client = connect(settings, retry=PATIENT)
    client.ensure_bucket()
    middleware = Middleware(int(settings.endpoint.rpartition(":")[2]), certificates=home / "certificates")
    with serving(middleware):
        reached = {
            "endpoint": f"https://{rules.domain('cn-north-4')}",
            "proxy": f"http://127.0.0.1:{middleware.port}",
            "ca": str(rules.ca_file(home / "certificates", "cn-north-4")),
        }
        through = connect(settings.model_copy(update=reached), retry=PATIENT)
        yield Trying(World(client, tmp_path_factory.mktemp("matrix")), middleware, through)
    client.delete(key for key, _ in client.list(""))
    client.remove_bucket()


def points(tried: Any, name: Any, fault: Any) -> Any:
    """The requests of an operation that a fault can meet, and how many it makes in all."""
    visits = tried.undisturbed(name)
    assert visits
    return [point for point in visits if fault not in BODIES or point == "s3.get-object"], visits.total()


@pytest.mark.parametrize("fault", ERRORS)
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_that_passes_is_outlived(tried: Any, name: Any, fault: Any) -> None:
    met, requests = points(tried, name, fault)
    for point in met:
        error, visits = tried.once(name, f"{fault}@{point}")
        if fault == "skew":
            assert isinstance(error, Refused), point
            assert "clock" in str(error)
        else:
            assert error is None, point
            assert visits.total() > requests, point


@pytest.mark.parametrize("fault", ERRORS)
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_that_lasts_ends_in_the_right_error(tried: Any, name: Any, fault: Any) -> None:
    for point in points(tried, name, fault)[0]:
        error, _ = tried.once(name, ",".join(f"{fault}@{point}#{visit}" for visit in range(1, 60)))
        # A request that is carried out each time may turn out to be done although no answer came.
        assert isinstance(error, ERRORS[fault]) or (error is None and fault in ("lost", "cut")), point
        if error is not None:
            assert tried.world.client.bucket in str(error)
            tried.again(name)


@pytest.mark.parametrize("name", ["put_small", "get_small", "synchronise", "list"])
def test_a_slow_server_is_waited_for(tried: Any, name: str) -> None:
    for point in points(tried, name, "slow")[0]:
        assert tried.once(name, f"slow@{point}")[0] is None
