"""Each fault at each operation: it ends well after retries, or in the right error; nothing half-made stays."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Corrupt, Refused, Transient
from infra.faults import FaultPlan
from infra.obs.client import connect
from infra.settings import RetrySettings

RETRY = RetrySettings(attempts=3, seconds=0.01)
LARGE = 17 * 1024 * 1024
SMALL = 70_000
PASSING = ("slow-down", "internal", "cut", "lost")


def always(action: Any, point: Any) -> Any:
    return ",".join(f"{action}@{point}#{visit}" for visit in range(1, 40))


def put(client: Any, local: Any, tmp_path: Path, size: Any) -> None:
    file = local(os.urandom(size))
    client.put("k", file)
    stored = client.head("k")
    assert (stored.size, stored.sha256) == (size, file.sha256)


@pytest.mark.parametrize("action", PASSING)
@pytest.mark.parametrize(
    ("point", "size"),
    [
        ("s3.put-object", SMALL),
        ("s3.create-upload", LARGE),
        ("s3.upload-part", LARGE),
        ("s3.complete-upload", LARGE),
        ("s3.list-uploads", LARGE),
    ],
)
def test_an_upload_outlives_a_passing_fault(
    obs: Any, local: Any, tmp_path: Path, action: Any, point: str, size: Any
) -> None:
    client, middleware = obs(f"{action}@{point}")
    put(client, local, tmp_path, size)
    assert middleware.faults.visits[point] >= 2


@pytest.mark.parametrize("action", [*PASSING, "truncate", "alter"])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_download_outlives_a_passing_fault(
    obs: Any, client: Any, local: Any, tmp_path: Path, action: Any, size: Any
) -> None:
    file = local(os.urandom(size))
    client.put("k", file)
    for visit in (1, 2):
        through, _ = obs(f"{action}@s3.get-object#{visit}")
        assert through.get("k", tmp_path / "out", file.sha256) == file.sha256


@pytest.mark.parametrize("action", PASSING)
@pytest.mark.parametrize("point", ["s3.list", "s3.head-object", "s3.delete-objects", "s3.head-bucket"])
def test_small_requests_outlive_a_passing_fault(obs: Any, client: Any, local: Any, action: Any, point: str) -> None:
    file = local(b"x")
    client.put("k", file)
    through, middleware = obs(f"{action}@{point}")
    assert not through.ensure_bucket()
    assert through.head("k").sha256 == file.sha256
    assert list(through.list("")) == [("k", 1)]
    through.delete(["k"])
    assert client.head("k") is None
    assert middleware.faults.visits[point] >= 1


@pytest.mark.parametrize("action", PASSING)
def test_a_synchronisation_outlives_a_passing_fault(obs: Any, local: Any, action: Any) -> None:
    client, _ = obs(f"{action}@s3.put-object#3,{action}@s3.list,{action}@s3.upload-part#2")
    files = {name: local(os.urandom(100), name) for name in "abcdef"}
    files["large"] = local(os.urandom(LARGE), "large")
    assert len(client.sync("p", files).sent) == 7
    assert client.sync("p", files).sent == ()


@pytest.mark.parametrize(
    ("action", "error"), [("slow-down", Transient), ("cut", Transient), ("lost", Transient), ("skew", Refused)]
)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_lasting_fault_ends_in_the_right_error(
    obs: Any, client: Any, local: Any, tmp_path: Path, action: str, error: Any, size: Any
) -> None:
    file = local(os.urandom(size))
    point = "s3.put-object" if size == SMALL else "s3.upload-part"
    through, _ = obs(always(action, point))
    with pytest.raises(error) as caught:
        through.put("k", file)
    assert f"obs://{client.bucket}/k at https://obs.cn-north-4" in str(caught.value)
    if action != "lost":
        assert client.head("k") is None
    assert client.unfinished("") == []

    client.put("k", file)
    through, _ = obs(always(action, "s3.get-object"))
    with pytest.raises(error):
        through.get("k", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_damage_to_an_object_of_somebody_else_is_noticed_by_its_etag(obs: Any, client: Any, tmp_path: Path) -> None:
    client._connection.s3.put_object(Bucket=client.bucket, Key="k", Body=os.urandom(5000))  # without our metadata
    through, _ = obs("alter@s3.get-object")
    through.get("k", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == client._connection.s3.get_object(Bucket=client.bucket, Key="k")[
        "Body"
    ].read()
    through, _ = obs(always("alter", "s3.get-object"))
    with pytest.raises(Corrupt, match="their MD5 is"):
        through.get("k", tmp_path / "out")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_lasting_damage_is_corrupt(obs: Any, client: Any, local: Any, tmp_path: Path, size: Any) -> None:
    client.put("k", local(os.urandom(size)))
    through, _ = obs(always("alter", "s3.get-object"))
    with pytest.raises(Corrupt, match="but should have"):
        through.get("k", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_object_that_changes_while_it_is_read_is_not_mixed(
    client: Any, settings: Any, local: Any, tmp_path: Path
) -> None:
    old, new = local(os.urandom(LARGE), "old"), local(os.urandom(LARGE), "new")
    client.put("k", old)

    class Replacing(FaultPlan):
        def reach(self, point: Any) -> Any:
            if point == "obs.get.range" and self.visits[point] == 0:
                client.put("k", new)
            return super().reach(point)

    with pytest.raises(Transient, match="changed while it was read"):
        connect(settings.model_copy(update={"threads": 1}), retry=RETRY, faults=Replacing()).get("k", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing(client: Any, settings: Any, local: Any, tmp_path: Path) -> None:
    client.put("k", local(b"x"))
    full = connect(settings, retry=RETRY, faults=FaultPlan.parse("full@obs.get.file.written"))
    with pytest.raises(OSError, match="No space left"):
        full.get("k", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


KILLED = """
import sys
from pathlib import Path
from pydantic import SecretStr
from infra.faults import FaultPlan
from infra.obs.client import connect
from infra.ports.values import LocalFile
from infra.settings import ObsSettings
endpoint, bucket, access, path, sha256, size, plan = sys.argv[1:]
settings = ObsSettings(endpoint=endpoint, bucket=bucket, access_key=access, secret_key=sys.stdin.readline(), threads=1)
connect(settings, faults=FaultPlan.parse(plan)).put("k", LocalFile(Path(path), sha256, int(size)))
"""


def kill_while_sending(settings: Any, file: Any, plan: Any) -> None:
    arguments = [settings.endpoint, settings.bucket, settings.access_key.get_secret_value()]
    arguments += [str(file.path), file.sha256, str(file.size), plan]
    finished = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], input=settings.secret_key.get_secret_value(), text=True, check=False
    )
    assert finished.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("point", "parts_sent_again"),
    [
        ("obs.multipart.list", 4),
        ("obs.multipart.created", 4),
        ("obs.multipart.part.sent#2", 2),
        ("obs.multipart.sent", 0),
        ("obs.multipart.completed", 4),
    ],
)
def test_a_killed_upload_is_taken_up_again(
    settings: Any, client: Any, local: Any, tmp_path: Path, point: str, parts_sent_again: int
) -> None:
    file = local(os.urandom(4 * 8 * 1024 * 1024 - 5))
    kill_while_sending(settings, file, f"kill@{point}")
    assert client.head("k") is None or point == "obs.multipart.completed"
    faults = FaultPlan()
    moved: list[int] = []
    connect(settings, faults=faults).put("k", file, moved.append)
    assert faults.visits["obs.multipart.part"] == parts_sent_again
    assert sum(moved) == file.size
    assert client.head("k").sha256 == file.sha256
    assert client.get("k", tmp_path / "out") == file.sha256
    assert client.unfinished("") == []


KILLED_AMONG_MANY = """
import sys
from pathlib import Path
from infra.faults import FaultPlan
from infra.store.local_files import describe_folder
from infra.obs.client import connect
from infra.settings import ObsSettings
endpoint, bucket, access, folder, plan, way = sys.argv[1:]
settings = ObsSettings(endpoint=endpoint, bucket=bucket, access_key=access, secret_key=sys.stdin.readline(), threads=1)
client = connect(settings, faults=FaultPlan.parse(plan))
files = describe_folder(Path(folder))
client.sync("p", files) if way == "objects" else client.sync_archive("p.tar", files)
"""


def kill_among_many(settings: Any, folder: Any, plan: Any, way: Any) -> None:
    arguments = [settings.endpoint, settings.bucket, settings.access_key.get_secret_value(), str(folder), plan, way]
    program = [sys.executable, "-c", KILLED_AMONG_MANY, *arguments]
    finished = subprocess.run(program, input=settings.secret_key.get_secret_value(), text=True, check=False)
    assert finished.returncode == -signal.SIGKILL


def test_a_killed_synchronisation_sends_only_the_rest(settings: Any, client: Any, local: Any, tmp_path: Path) -> None:
    files = {f"{number}": local(os.urandom(500), f"tree/{number}") for number in range(9)}
    kill_among_many(settings, tmp_path / "tree", "kill@obs.put#5", "objects")
    there = [key for key, _ in client.list("p/")]
    assert 0 < len(there) < 9
    result = client.sync("p", files)
    assert sorted(result.kept) == sorted(there)
    assert len(result.sent) == 9 - len(there)
    assert not client.missing("p", files)
    assert client.unfinished("") == []


def test_a_killed_archive_is_taken_up_again_since_the_same_files_give_the_same_bytes(
    settings: Any, client: Any, local: Any, tmp_path: Path
) -> None:
    files = {f"{number}": local(os.urandom(10 * 1024 * 1024), f"tree/{number}") for number in range(3)}
    kill_among_many(settings, tmp_path / "tree", "kill@obs.multipart.part.sent#2", "archive")
    assert client.head("p.tar") is None
    faults = FaultPlan()
    connect(settings, faults=faults).sync_archive("p.tar", files)
    assert 0 < faults.visits["obs.multipart.part"] < 4
    assert client.holds_archive("p.tar", files)
    assert client.unfinished("") == []


@pytest.mark.parametrize("same_beginning", [False, True])
def test_a_killed_upload_of_other_bytes_is_not_taken_up(
    settings: Any, client: Any, local: Any, tmp_path: Path, same_beginning: bool
) -> None:
    data = os.urandom(3 * 8 * 1024 * 1024)
    kill_while_sending(settings, local(data), "kill@obs.multipart.part.sent")
    changed = data[:-1] + b"!" if same_beginning else os.urandom(len(data))
    file = local(changed)
    client.put("k", file)
    assert client.head("k").sha256 == file.sha256
    assert client.get("k", tmp_path / "out", file.sha256) == file.sha256
    assert client.unfinished("") == []


@pytest.mark.parametrize("same", [True, False])
def test_two_uploads_to_one_key_at_once(settings: Any, client: Any, local: Any, tmp_path: Path, same: bool) -> None:
    data = [os.urandom(LARGE)] * 2 if same else [os.urandom(LARGE), os.urandom(LARGE)]
    files = [local(content, f"{number}") for number, content in enumerate(data)]

    def put(file: Any) -> None:
        connect(settings, retry=RETRY).put("k", file)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(put, file) for file in files]
        errors = [future.exception() for future in running]
    if same:
        assert errors == [None, None]
    assert all(error is None or isinstance(error, Transient) for error in errors)
    if None in errors:
        assert client.get("k", tmp_path / "out") in {file.sha256 for file in files}
    assert client.unfinished("") == []
