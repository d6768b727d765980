"""What every `ObjectStore` does: the embedded server, the same as OBS is reached, and any S3 server that is named.

`ATLASFLOW_TEST_S3_ENDPOINT`, `…_ACCESS_KEY`, `…_SECRET_KEY`, and `…_REGION` where buckets must name one. `…_DIFFERS`
says how that server differs: `unsigned` (moto's checks no signature), `unknown-key` (OpenStack Swift's s3api calls an
unknown access key a wrong signature).
"""

import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from infra.errors import Corrupt, Refused, UserError
from infra.obs.client import ObsClient, connect
from infra.obs.emulator import seaweedfs
from infra.ports.storage import ObjectStore
from infra.ports.values import LocalFile
from infra.services import Services
from infra.settings import ObsSettings, RetrySettings

REAL = "ATLASFLOW_TEST_S3_"
DIFFERS = frozenset(os.environ.get(f"{REAL}DIFFERS", "").split(","))
RETRY = RetrySettings(attempts=3, seconds=0.05)


@pytest.fixture(
    scope="module",
    params=[
        "stand-in",
        "as-obs",
        pytest.param(
            "real",
            marks=pytest.mark.skipif(f"{REAL}ENDPOINT" not in os.environ, reason=f"{REAL}ENDPOINT names no S3 server"),
        ),
    ],
)
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObsSettings]:
    """End point and keys of a running server."""
    if request.param == "real":
        yield ObsSettings(
            endpoint=os.environ[f"{REAL}ENDPOINT"],
            region=os.environ.get(f"{REAL}REGION", "us-east-1"),
            access_key=os.environ[f"{REAL}ACCESS_KEY"],
            secret_key=os.environ[f"{REAL}SECRET_KEY"],
        )
        return
    home = tmp_path_factory.mktemp("home")
    services = Services(home)
    chosen = ObsSettings(stand_in="as-obs" if request.param == "as-obs" else "plain")
    needed = seaweedfs.stand_ins(chosen, services, home)
    for service in needed:
        services.start(service)
    yield seaweedfs.reached(chosen, services, home)
    for service in reversed(needed):
        services.stop(service.name)


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Somebody who has nothing but a link: neither the proxy nor the test CA of a stand-in."""
    with httpx.Client() as client:
        yield client


@pytest.fixture
def client(settings: ObsSettings) -> Iterator[ObsClient]:
    """A client of a new bucket, which is emptied and removed afterwards."""
    bucket = f"atlasflow-test-{secrets.token_hex(6)}"
    client = connect(settings.model_copy(update={"bucket": bucket}), emulated=True, retry=RETRY)
    assert client.ensure_bucket()
    yield client
    client.delete(key for key, _ in client.list(""))
    client.remove_bucket()


def local(path: Path, data: bytes) -> LocalFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return LocalFile(path, hashlib.sha256(data).hexdigest(), len(data))


def test_is_an_object_store(client: ObsClient) -> None:
    store: ObjectStore = client
    assert store.bucket.startswith("atlasflow-test-")
    assert not store.ensure_bucket()


@pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024, 20 * 1024 * 1024 + 3])
def test_what_is_put_is_got(client: ObsClient, tmp_path: Path, size: int) -> None:
    file = local(tmp_path / "in", os.urandom(size))
    moved: list[int] = []
    client.put("a/b.bin", file, moved.append)
    assert sum(moved) == size
    stored = client.head("a/b.bin")
    assert stored is not None
    assert (stored.key, stored.size, stored.sha256) == ("a/b.bin", size, file.sha256)
    moved.clear()
    assert client.get("a/b.bin", tmp_path / "deep" / "out", file.sha256, moved.append) == file.sha256
    assert sum(moved) == size
    assert (tmp_path / "deep" / "out").read_bytes() == file.path.read_bytes()


@pytest.mark.parametrize(
    "key", ["plain", "a b/c+d&e=f.txt", "bücher/猫.bin", "q?x#y%20z", "tilde~!*'()", "per%cent", "<xml>&amp;\"'"]
)
def test_any_name_is_kept(client: ObsClient, browser: httpx.Client, tmp_path: Path, key: str) -> None:
    file = local(tmp_path / "in", key.encode())
    client.put(key, file)
    assert list(client.list("")) == [(key, file.size)]
    assert client.get(key, tmp_path / "out") == file.sha256
    assert browser.get(client.link(key, 60)).content == key.encode()
    client.delete([key])
    assert client.head(key) is None


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/../b", ".", "é" * 513])
def test_a_bad_key_is_a_user_error(client: ObsClient, tmp_path: Path, key: str) -> None:
    with pytest.raises(UserError):
        client.put(key, local(tmp_path / "in", b"x"))


@pytest.mark.parametrize("size", [10, 20 * 1024 * 1024])
def test_put_refuses_a_changed_file(client: ObsClient, tmp_path: Path, size: int) -> None:
    file = local(tmp_path / "in", bytes(size))
    with file.path.open("r+b") as stream:
        stream.seek(size - 1)
        stream.write(b"!")
    with pytest.raises(Corrupt, match="has changed"):
        client.put("k", file)
    assert client.head("k") is None
    assert client.unfinished("") == []
    for wrong in (replace(file, size=size - 1), replace(file, size=size + 1)):
        with pytest.raises(Corrupt, match="has changed"):
            client.put("k", wrong)
    assert client.unfinished("") == []
    with pytest.raises(UserError, match="cannot be read"):
        client.put("k", replace(file, path=tmp_path / "absent"))


def test_put_replaces_and_get_is_atomic(client: ObsClient, tmp_path: Path) -> None:
    first, second = local(tmp_path / "1", b"one"), local(tmp_path / "2", b"two")
    client.put("k", first)
    client.put("k", second)
    target = tmp_path / "out"
    target.write_bytes(b"before")
    with pytest.raises(Corrupt, match=first.sha256):
        client.get("k", target, first.sha256)
    assert target.read_bytes() == b"before"
    assert client.get("k", target, second.sha256) == second.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "out"]


def test_what_is_absent_is_refused(client: ObsClient, settings: ObsSettings, tmp_path: Path) -> None:
    assert client.head("absent") is None
    with pytest.raises(Refused, match=r"obs://atlasflow-test-.*/absent at http.*no such object"):
        client.get("absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    elsewhere = connect(settings.model_copy(update={"bucket": "atlasflow-test-absent"}), retry=RETRY)
    for action in (
        lambda: elsewhere.head("k"),
        lambda: list(elsewhere.list("")),
        lambda: elsewhere.put("k", local(tmp_path / "in", b"x")),
        lambda: elsewhere.get("k", tmp_path / "out"),
    ):
        with pytest.raises(Refused, match="no such bucket"):
            action()


def test_wrong_keys_are_refused_and_not_shown(
    client: ObsClient, settings: ObsSettings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    differs = DIFFERS if "[real]" in request.node.name else frozenset()
    if "unsigned" in differs:
        pytest.skip("this server checks no signature")
    wrong = settings.model_copy(update={"bucket": client.bucket, "secret_key": type(settings.secret_key)("not-it")})
    with pytest.raises(Refused, match="signature is wrong") as caught:
        connect(wrong, retry=RETRY).put("k", local(tmp_path / "in", b"x"))
    assert "ATLASFLOW_OBS__SECRET_KEY" in str(caught.value)
    assert "not-it" not in str(caught.value)
    unknown = settings.model_copy(update={"bucket": client.bucket, "access_key": type(settings.access_key)("NOBODY")})
    words = "signature is wrong" if "unknown-key" in differs else "access key is unknown"
    with pytest.raises(Refused, match=words) as caught:
        connect(unknown, retry=RETRY).get("k", tmp_path / "out")
    assert "NOBODY" not in str(caught.value)


def test_list_gives_prefixes_in_byte_order(client: ObsClient, tmp_path: Path) -> None:
    file = local(tmp_path / "in", b"x")
    for key in ("b", "a/2", "a/10", "a.b", "a/Z", "ab"):
        client.put(key, file)
    assert [key for key, _ in client.list("")] == ["a.b", "a/10", "a/2", "a/Z", "ab", "b"]
    assert [key for key, _ in client.list("a/")] == ["a/10", "a/2", "a/Z"]
    assert list(client.list("nothing")) == []


def test_more_than_a_thousand_objects(client: ObsClient, tmp_path: Path) -> None:
    files = {f"{number:04}": local(tmp_path / f"{number}", b"%d" % number) for number in range(1005)}
    moved: list[int] = []
    result = client.sync("many", files, moved.append)
    assert len(result.sent) == 1005
    assert sum(moved) == result.bytes_sent == sum(file.size for file in files.values())
    assert len(list(client.list("many/"))) == 1005
    again = client.sync("many", files)
    assert (again.sent, len(again.kept), again.bytes_sent) == ((), 1005, 0)
    client.delete(key for key, _ in client.list("many/"))
    assert list(client.list("")) == []


def test_sync_sends_what_is_missing_or_different(client: ObsClient, tmp_path: Path) -> None:
    files = {
        "train/one": local(tmp_path / "one", b"one"),
        "two": local(tmp_path / "two", b"two"),
        "large": local(tmp_path / "large", os.urandom(17 * 1024 * 1024)),
    }
    first = client.sync("p/", files)
    assert set(first.sent) == {"p/train/one", "p/two", "p/large"}
    client.delete(["p/two"])
    client.put("p/train/one", local(tmp_path / "other", b"0ne"))
    client.put("p/stranger", local(tmp_path / "other", b"0ne"))
    assert set(client.missing("p", files)) == {"train/one", "two"}
    second = client.sync("p", files)
    assert set(second.sent) == {"p/train/one", "p/two"}
    assert second.kept == ("p/large",)
    assert not client.missing("p", files)
    assert client.head("p/stranger") is not None
    client.put("p/large", local(tmp_path / "other", os.urandom(17 * 1024 * 1024)))
    assert client.sync("p", files).sent == ("p/large",)
    files["two"].path.write_bytes(b"2wo")
    client.delete(["p/two"])
    with pytest.raises(Corrupt, match="has changed"):
        client.sync("p", files)


def test_deleting_what_is_absent_is_no_error(client: ObsClient) -> None:
    client.delete(["absent", "also/absent"])
    client.delete([])


def test_a_link_ends(client: ObsClient, browser: httpx.Client, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    client.put("report.html", local(tmp_path / "in", b"<p>"))
    link = client.link("report.html", 60)
    answer = browser.get(link)
    assert answer.content == b"<p>"
    assert answer.headers["Content-Type"] == "text/html"
    if "unsigned" not in DIFFERS or "[real]" not in request.node.name:
        assert browser.get(link.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")).status_code == 403


def test_access_is_proved(client: ObsClient) -> None:
    assert client.prove_access().seconds > 0
    assert list(client.list("")) == []


def test_many_small_files_travel_as_one(client: ObsClient, tmp_path: Path) -> None:
    files = {f"{number}": local(tmp_path / f"{number}", b"%d" % number) for number in range(20)}
    assert not client.holds_archive("all.tar", files)
    assert client.sync_archive("all.tar", files).sent == ("all.tar",)
    assert client.holds_archive("all.tar", files)
    assert not client.holds_archive("all.tar", {"0": files["0"]})
    assert client.sync_archive("all.tar", files).kept == ("all.tar",)
    client.get_archive("all.tar", tmp_path / "tree")
    assert {path.name: path.read_bytes() for path in (tmp_path / "tree").iterdir()} == {
        name: name.encode() for name in files
    }


def test_objects_are_copied_within_the_store(client: ObsClient, tmp_path: Path) -> None:
    file = local(tmp_path / "in", os.urandom(1000))
    client.put("a/b c.html", file)
    client.files.copy(f"obs://{client.bucket}/a/b c.html", f"s3://{client.bucket}/ü")
    copied = client.head("ü")
    assert copied is not None
    assert (copied.size, copied.sha256) == (1000, file.sha256)
