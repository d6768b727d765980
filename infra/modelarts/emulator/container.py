"""The container of a stand-in job: what ModelArts lays out before the boot script starts.

Source: docs/reference/modelarts.md §1.6.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from infra.errors import AtlasFlowError
from infra.modelarts import addresses
from infra.modelarts.emulator.jobs import TASK, Record
from infra.modelarts.emulator.requirements import RequirementsError, install
from infra.ports.storage import ObjectStore


class Bucket(ObjectStore, Protocol):
    """A bucket that also takes what others write."""

    def put_bare(self, key: str, source: Path) -> None:
        """Send a file as other programs do: without our metadata."""
        ...


Stores = Callable[[str], Bucket]
"""The bucket of this name."""

_MOUNT = PurePosixPath("/home/ma-user/modelarts")
_SETTLED_SECONDS = 0.5
KERNELS = "ATLASFLOW_KERNELS"
"""Environment variable of `models/kernels`: where compiled kernels are kept."""


class ContainerFailed(Exception):
    """The container could not be made ready; says why."""


class Container:
    """One job's own piece of the file system, under `folder`; its `/` is `folder/container`.

    Args:
        record: the job.
        folder: for this job alone.
        stores: the buckets.
        spelling: of the boot script's arguments: `--name=value`, or two words.
    """

    def __init__(
        self, record: Record, folder: Path, stores: Stores, spelling: Literal["joined", "separate"] = "joined"
    ) -> None:
        self._record = record
        self._algorithm: dict[str, Any] = record.body["algorithm"]
        self._folder = folder
        self._root = folder / "container"
        self._stores = stores
        self._spelling = spelling
        self._sent: dict[Path, tuple[int, int]] = {}
        self.log = folder / f"modelarts-job-{record.id}-{TASK}.log"

    def prepare(self) -> None:
        """Fetch code and inputs, make the output folders, install `pip-requirements.txt`.

        Raises:
            ContainerFailed: something of it did not work.
        """
        for folder in (self._code, self._place(_MOUNT / "log"), self._place(PurePosixPath("/cache"))):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._fetch("code directory", self._algorithm["code_dir"], self._code)
            for name, address, local in self._channels("inputs"):
                self._fetch(f"input {name}", address, local)
            for _, _, local in self._channels("outputs"):
                local.mkdir(parents=True, exist_ok=True)
        except AtlasFlowError as error:
            raise ContainerFailed(error.message) from error
        try:
            install(self._code / "pip-requirements.txt", self._folder / "packages", self.log)
        except RequirementsError as error:
            raise ContainerFailed(str(error)) from error

    def start(self, endpoint: str) -> "subprocess.Popen[bytes]":
        """Start the boot script in a process group of its own; its output goes to `log`.

        Its standard input is a pipe that closes when the stand-in dies: a script that watches it ends too.

        Args:
            endpoint: of the object store, for scripts that use MoXing.
        """
        boot = PurePosixPath(addresses.split(self._algorithm["boot_file"])[1])
        code = PurePosixPath(addresses.split(self._algorithm["code_dir"])[1])
        script = self._code / boot.relative_to(code)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(script), *self._arguments()],
                cwd=self._code,
                env=self._environment(endpoint),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def push_outputs(self, *, everything: bool) -> None:
        """Synchronise the output folders to the object store; as the platform does, without metadata of ours.

        Args:
            everything: False while the script runs: a file that changed a moment ago is left for the next time.
        """
        for _, address, local in self._channels("outputs"):
            bucket, prefix = addresses.split(address)
            for path, stamp in self._changed(local, everything=everything):
                self._stores(bucket).put_bare(f"{prefix}/{path.relative_to(local).as_posix()}", path)
                self._sent[path] = stamp

    def remove(self) -> None:
        """Free the disk, as a platform does when a job has ended; the log is kept."""
        shutil.rmtree(self._root)

    def push_log(self) -> None:
        """Export the log to the folder that the request names, if it names one (modelarts.md §1.3)."""
        where = (self._record.body["spec"].get("log_export_path") or {}).get("obs_url")
        if where and self.log.exists():
            bucket, prefix = addresses.split(where)
            self._stores(bucket).put_bare(f"{prefix}/{self.log.name}", self.log)

    @property
    def _code(self) -> Path:
        name = PurePosixPath(addresses.split(self._algorithm["code_dir"])[1]).name
        return self._place(_MOUNT / "user-job-dir" / name)

    def _place(self, path: PurePosixPath) -> Path:
        """Where a path of the container lies on this machine."""
        place = self._root.joinpath(*path.parts[1:])
        if not path.is_absolute() or ".." in path.parts:
            raise ContainerFailed(f"{path} is not an absolute path")
        return place

    def _channels(self, kind: str) -> Iterator[tuple[str, str, Path]]:
        """Name, address and local folder of the inputs or the outputs."""
        for index, channel in enumerate(self._algorithm.get(kind) or []):
            default = str(_MOUNT / kind / f"{channel['name']}_{index}")
            local = self._place(PurePosixPath(channel.get("local_dir") or default))
            yield channel["name"], channel["remote"]["obs"]["obs_url"], local

    def _arguments(self) -> list[str]:
        """The channels passed as parameters, then the parameters; their spelling is unconfirmed (modelarts.md §1.6)."""
        pairs = [(name, str(local)) for name, local, method in self._by_access() if method == "parameter"]
        pairs += [(item["name"], item["value"]) for item in self._algorithm.get("parameters") or []]
        if self._spelling == "joined":
            return [f"--{name}={value}" for name, value in pairs]
        return [word for name, value in pairs for word in (f"--{name}", value)]

    def _by_access(self) -> Iterator[tuple[str, Path, str]]:
        for kind in ("inputs", "outputs"):
            for (name, _, local), channel in zip(self._channels(kind), self._algorithm.get(kind) or [], strict=True):
                yield name, local, channel.get("access_method") or "parameter"

    def _environment(self, endpoint: str) -> dict[str, str]:
        """Nothing of ours but the search path: a container does not see its host's environment."""
        mount = self._place(_MOUNT)
        instance = f"modelarts-job-{self._record.id}-{TASK}"
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(mount.parent),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(self._folder / "packages"),
            "MA_HOME": str(mount.parent),
            "MA_JOB_DIR": str(mount / "user-job-dir"),
            "MA_MOUNT_PATH": str(mount),
            "MA_LOG_DIR": str(mount / "log"),
            "WORKSPACE": str(self._code),
            "MA_SCRIPT_INTERPRETER": "",
            "MA_CURRENT_IP": "127.0.0.1",
            "MA_CURRENT_INSTANCE_NAME": instance,
            "MA_NUM_GPUS": "0",
            "MA_NUM_HOSTS": "1",
            "MA_TASK_NAME": "worker",
            "VC_TASK_INDEX": "0",
            "VC_WORKER_NUM": "1",
            "VC_WORKER_HOSTS": f"{instance}.modelarts-job-{self._record.id}",
            "S3_ENDPOINT": endpoint,
            "S3_VERIFY_SSL": "0",
            "S3_USE_HTTPS": "1" if endpoint.startswith("https") else "0",
            "ATLASFLOW_EXIT_WITH_STDIN": "1",
            KERNELS: os.environ.get(KERNELS, ""),  # so that not every job compiles them anew
        }
        environment |= {name: str(local) for name, local, method in self._by_access() if method == "env"}
        return environment | (self._algorithm.get("environments") or {})

    def _fetch(self, what: str, address: str, folder: Path) -> None:
        """Bring everything under an address into a folder, or the one object that it names."""
        bucket, prefix = addresses.split(address)
        store = self._stores(bucket)
        keys = [key for key, _ in store.list(f"{prefix}/") if not key.endswith("/")]
        if not keys and store.head(prefix) is not None:
            store.get(prefix, folder / PurePosixPath(prefix).name)
            return
        if not keys:
            raise ContainerFailed(f"{what}: there is nothing at {address}")
        for key in keys:
            store.get(key, folder / key.removeprefix(f"{prefix}/"))

    def _changed(self, folder: Path, *, everything: bool) -> Iterator[tuple[Path, tuple[int, int]]]:
        """The files that were not sent as they are now, each with its size and time."""
        for path in sorted(folder.rglob("*")):
            try:
                status = path.stat()
                stamp = (status.st_size, status.st_mtime_ns)
                settled = everything or time.time() - status.st_mtime > _SETTLED_SECONDS
                if path.is_file() and settled and self._sent.get(path) != stamp:
                    yield path, stamp
            except FileNotFoundError:  # the script renamed or removed it meanwhile
                continue
