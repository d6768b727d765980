"""Doubles for tests: a bucket in a folder, and a ModelArts stand-in in this process."""

import shutil
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from infra.errors import Corrupt, Refused
from infra.faults import FaultPlan
from infra.modelarts.client import connect
from infra.modelarts.emulator.api import Answers
from infra.modelarts.emulator.notebooks import Notebooks
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.server import Account, Server
from infra.modelarts.trainer import ModelArtsTrainer
from infra.ports.storage import StoredObject, SyncResult
from infra.ports.values import LocalFile
from infra.settings import ModelArtsSettings, ModelArtsStandInSettings, ObsSettings
from infra.store.digests import file_digest

ACCOUNT = Account("test-access", "test-secret-key-of-some-length", "5" * 32)
QUICK = ModelArtsStandInSettings(creating_seconds=0, queue_seconds=0, log_seconds=0)


def small_data(folder: Path) -> Path:
    """A folder shaped like the data set, with a few bytes in each file."""
    for name in ("train/data_batch_1.bin", "eval/test_batch.bin", "batches.meta.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


class FolderStore:
    """A bucket whose objects are files; without metadata, as objects that a platform writes."""

    emulated = True

    def __init__(self, folder: Path, bucket: str = "bucket") -> None:
        self.bucket = bucket
        self.folder = folder / bucket
        self.folder.mkdir(parents=True, exist_ok=True)

    def ensure_bucket(self):
        return False

    def head(self, key):
        path = self.folder / key
        return StoredObject(key, path.stat().st_size, None) if path.is_file() else None

    def list(self, prefix):
        keys = ((path.relative_to(self.folder).as_posix(), path) for path in self.folder.rglob("*") if path.is_file())
        return sorted((key, path.stat().st_size) for key, path in keys if key.startswith(prefix))

    def put(self, key, source, progress=None):
        target = self.folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path, target)
        if file_digest(target) != source.sha256:
            raise Corrupt(f"{source.path} changed")

    def put_bare(self, key, source):
        self.put(key, LocalFile(source, file_digest(source), source.stat().st_size))

    def get(self, key, target, sha256=None, progress=None):
        if not (self.folder / key).is_file():
            raise Refused(f"there is no {key}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / key, target)
        actual = file_digest(target)
        if sha256 not in (None, actual):
            raise Corrupt(f"{key} has SHA-256 {actual}")
        return actual

    def sync(self, prefix, files, progress=None):
        for name, file in files.items():
            self.put(f"{prefix}/{name}", file)
        return SyncResult(tuple(files), (), sum(file.size for file in files.values()))

    def delete(self, keys):
        for key in keys:
            (self.folder / key).unlink(missing_ok=True)

    def link(self, key, seconds):
        return f"http://127.0.0.1:1/{self.bucket}/{key}?expires={seconds}"

    def put_tree(self, prefix: str, folder: Path) -> str:
        """Everything in a folder; returns its address."""
        for path in folder.rglob("*"):
            if path.is_file():
                file = LocalFile(path, file_digest(path), path.stat().st_size)
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", file)
        return f"obs://{self.bucket}/{prefix}/"


@contextmanager
def stand_in(folder: Path, store: FolderStore, options=QUICK, faults: str = ""):
    """A ModelArts stand-in in this process; yields its platform and the settings that reach it."""
    plan = FaultPlan.parse(faults)
    platform = Platform(folder / "jobs", lambda bucket: FolderStore(store.folder.parent, bucket), "", options, plan)
    found = Answers(platform, Notebooks(folder / "notebooks.json"), lambda _bucket: store)
    server = Server(0, ACCOUNT, found, timedelta(minutes=options.clock_minutes), plan)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield platform, settings_for(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        platform.close()


def settings_for(port: int, **changes) -> ModelArtsSettings:
    """Settings that reach a stand-in."""
    values = {
        "endpoint": f"http://127.0.0.1:{port}",
        "project_id": ACCOUNT.project,
        "access_key": SecretStr(ACCOUNT.access_key),
        "secret_key": SecretStr(ACCOUNT.secret_key),
        "engine": "mindspore-stand-in-cpu",
        "flavor": "modelarts.vm.cpu.2u",
        "poll_seconds": 0.05,
        "jobs_at_once": 8,
    }
    return ModelArtsSettings(**(values | changes))


@contextmanager
def client_for(settings: ModelArtsSettings, *, emulated: bool = True):
    """The client through the official SDK."""
    client = connect(settings, ObsSettings(), emulated=emulated)
    try:
        yield client
    finally:
        client.close()


def trainer_for(client, store: FolderStore, settings: ModelArtsSettings, folder: Path, faults: str = ""):
    """A trainer with its intents in `folder`."""
    plan = FaultPlan.parse(faults)
    return ModelArtsTrainer(
        lambda: client, lambda: store, settings, "af", folder / "intents", emulated=True, faults=plan
    )
