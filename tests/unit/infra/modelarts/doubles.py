"""Doubles for tests: a bucket in a folder, and a ModelArts stand-in in this process."""

import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from infra.errors import Corrupt, Refused
from infra.faults import FaultPlan
from infra.modelarts.client import ModelArts, connect
from infra.modelarts.emulator.api import PREVIEW_BYTES, Api
from infra.modelarts.emulator.notebooks import Notebooks
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.server import Account, Server
from infra.modelarts.trainer import ModelArtsTrainer
from infra.ports.storage import ObjectStore, StoredObject, SyncResult
from infra.ports.training import TrainJob
from infra.ports.values import LocalFile, OnBytes
from infra.settings import ModelArtsSettings, ModelArtsStandInSettings, ObsSettings
from infra.store.digests import file_digest

ACCOUNT = Account("test-access", "test-secret-key-of-some-length", "5" * 32)
QUICK = ModelArtsStandInSettings(creating_seconds=0, queue_seconds=0, log_seconds=0)


def local_files(folder: Path) -> dict[str, LocalFile]:
    """Describe all files under a folder, by their relative names."""
    return {
        path.relative_to(folder).as_posix(): LocalFile(path, file_digest(path), path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


class FolderStore:
    """A bucket that keeps its objects as files, without metadata, like objects that a platform writes."""

    emulated = True

    def __init__(self, folder: Path, bucket: str = "bucket") -> None:
        self.bucket = bucket
        self.folder = folder / bucket
        self.folder.mkdir(parents=True, exist_ok=True)

    def ensure_bucket(self) -> bool:
        return False

    def head(self, key: str) -> StoredObject | None:
        path = self.folder / key
        return StoredObject(key, path.stat().st_size, None) if path.is_file() else None

    def list(self, prefix: str) -> "list[tuple[str, int]]":
        keys = ((path.relative_to(self.folder).as_posix(), path) for path in self.folder.rglob("*") if path.is_file())
        return sorted((key, path.stat().st_size) for key, path in keys if key.startswith(prefix))

    def put(self, key: str, source: LocalFile, progress: OnBytes | None = None) -> None:
        target = self.folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path, target)
        if file_digest(target) != source.sha256:
            raise Corrupt(f"{source.path} changed")

    def put_bare(self, key: str, source: Path) -> None:
        self.put(key, LocalFile(source, file_digest(source), source.stat().st_size))

    def get(self, key: str, target: Path, sha256: str | None = None, progress: OnBytes | None = None) -> str:
        if not (self.folder / key).is_file():
            raise Refused(f"there is no {key}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / key, target)
        actual = file_digest(target)
        if sha256 not in (None, actual):
            raise Corrupt(f"{key} has SHA-256 {actual}")
        return actual

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        for name, file in files.items():
            self.put(f"{prefix}/{name}", file)
        return SyncResult(tuple(files), (), sum(file.size for file in files.values()))

    def missing(self, prefix: str, files: Mapping[str, LocalFile]) -> Sequence[str]:
        raise AssertionError("a trainer does not compare or pack data sets: the upload stage does")

    def sync_archive(self, key: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        raise AssertionError("a trainer does not compare or pack data sets: the upload stage does")

    def holds_archive(self, key: str, files: Mapping[str, LocalFile]) -> bool:
        raise AssertionError("a trainer does not compare or pack data sets: the upload stage does")

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.folder / key).unlink(missing_ok=True)

    def unfinished(self, prefix: str) -> Sequence[str]:
        return []

    def abort_unfinished(self, prefix: str, age: timedelta) -> Sequence[str]:
        return []

    def link(self, key: str, seconds: int) -> str:
        return f"http://127.0.0.1:1/{self.bucket}/{key}?expires={seconds}"

    def put_tree(self, prefix: str, folder: Path) -> str:
        """Send all files in a folder; return their address."""
        self.sync(prefix, local_files(folder))
        return f"obs://{self.bucket}/{prefix}/"


@contextmanager
def stand_in(
    folder: Path,
    store: FolderStore,
    options: ModelArtsStandInSettings = QUICK,
    faults: str = "",
    preview_bytes: int = PREVIEW_BYTES,
) -> Iterator[tuple[Platform, ModelArtsSettings]]:
    """Run a ModelArts stand-in in this process; yield its platform and the settings that reach it."""
    fault_plan = FaultPlan.parse(faults)
    platform = Platform(
        folder / "jobs", lambda bucket: type(store)(store.folder.parent, bucket), "", options, fault_plan
    )
    api = Api(platform, Notebooks(folder / "notebooks.json"), lambda _bucket: store, preview_bytes=preview_bytes)
    server = Server(0, ACCOUNT, api, timedelta(minutes=options.clock_minutes), fault_plan)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield platform, settings_for(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        platform.close()


def settings_for(port: int) -> ModelArtsSettings:
    """Return settings that reach a stand-in."""
    return ModelArtsSettings(
        endpoint=f"http://127.0.0.1:{port}",
        project_id=ACCOUNT.project,
        access_key=SecretStr(ACCOUNT.access_key),
        secret_key=SecretStr(ACCOUNT.secret_key),
        engine="mindspore-stand-in-cpu",
        flavor="modelarts.vm.cpu.2u",
        poll_seconds=0.05,
        jobs_at_once=8,
    )


@contextmanager
def client_for(settings: ModelArtsSettings, *, emulated: bool = True) -> Iterator[ModelArts]:
    """Open the client, which uses the official SDK."""
    client = connect(settings, ObsSettings(), emulated=emulated)
    try:
        yield client
    finally:
        client.close()


def trainer_for(
    client: ModelArts, store: ObjectStore, settings: ModelArtsSettings, folder: Path, faults: str = ""
) -> ModelArtsTrainer:
    """Make a trainer with its intents in `folder`."""
    return ModelArtsTrainer(
        lambda: client,
        lambda: store,
        settings,
        "af",
        folder / "intents",
        emulated=True,
        faults=FaultPlan.parse(faults),
    )


def train_until_killed(port: int, objects: Path, folder: Path, job: TrainJob, point: str) -> None:
    """Train with a stand-in until SIGKILL at a fault point: the main function of a process of its own."""
    store, settings = FolderStore(objects), settings_for(port)
    with client_for(settings) as client:
        trainer_for(client, store, settings, folder, f"kill@{point}").train(job, lambda _event: None)
