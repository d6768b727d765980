"""The container of a stand-in job: what ModelArts prepares before the boot script starts.

Source: docs/reference/modelarts.md §1.6.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from infra.errors import AtlasFlowError
from infra.modelarts.emulator.access import passed_on
from infra.modelarts.emulator.jobs import TASK, Record
from infra.modelarts.emulator.request import Channel
from infra.modelarts.emulator.requirements import RequirementsError, install
from infra.obs.address import ObjectAddress
from infra.ports.storage import ObjectStore


class Bucket(ObjectStore, Protocol):
    """A bucket that can also write objects as other programs do."""

    def put_bare(self, key: str, source: Path) -> None:
        """Send a file without AtlasFlow's metadata."""
        ...

    def link(self, key: str, seconds: int) -> str:
        """Return a pre-signed link for fetching the object, valid for `seconds`."""
        ...


Stores = Callable[[str], Bucket]
"""Opens a bucket by its name."""

_MOUNT = PurePosixPath("/home/ma-user/modelarts")
_SETTLED_SECONDS = 0.5
_SPEC = "ATLASFLOW_SPEC"  # as in infra/modelarts/plan.py, which is no part of what prepares a job
MOXING = Path(__file__).with_name("moxing")
COMPATIBILITY = Path(__file__).parent.parent / "compatibility"
KERNELS = "ATLASFLOW_KERNELS"
"""Environment variable of `models/kernels`: the folder of compiled kernels."""


class ContainerFailed(Exception):
    """The container could not be prepared; the message says why."""


class Container:
    """One job's own part of the file system, under `folder`; its `/` is `folder/container`.

    Args:
        record: the job.
        folder: for this job alone.
        stores: the buckets.
        spelling: of the boot script's arguments: `--name=value`, or two words.
        compatible: let scripts use the names of MindSpore 1.x.
    """

    def __init__(
        self,
        record: Record,
        folder: Path,
        stores: Stores,
        spelling: Literal["joined", "separate"] = "joined",
        *,
        compatible: bool = True,
    ) -> None:
        self._id = record.id
        self._request = record.request
        self._folder = folder
        self._root = folder / "container"
        self._stores = stores
        self._spelling = spelling
        self._compatible = compatible
        self._sent: dict[Path, tuple[int, int]] = {}  # size and modification time
        self.log = folder / f"modelarts-job-{record.id}-{TASK}.log"

    def prepare(self) -> None:
        """Fetch code and inputs, create the output folders, install `pip-requirements.txt`.

        Raises:
            ContainerFailed: one of these steps failed.
        """
        for folder in (self._code, self._local(_MOUNT / "log"), self._local(PurePosixPath("/cache"))):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            if self._request.code_dir:
                self._fetch("code directory", self._request.code_dir, self._code)
            for volume in self._request.volumes:
                self._fetch("volume", volume.source, self._local(PurePosixPath(volume.local_path)))
            for channel, local in self._inputs():
                self._fetch(f"input {channel.name}", channel.address, local)
            for _, local in self._outputs():
                local.mkdir(parents=True, exist_ok=True)
        except AtlasFlowError as error:
            raise ContainerFailed(error.message) from error
        try:
            install(
                self._code / "pip-requirements.txt", self._folder / "packages", self.log, compatible=self._old_names
            )
        except RequirementsError as error:
            raise ContainerFailed(str(error)) from error

    def start(self, endpoint: str) -> "subprocess.Popen[bytes]":
        """Start the boot script in its own process group; its output goes to `log`.

        Its standard input is a pipe that closes when the stand-in dies, so that a script that reads it ends too.

        Args:
            endpoint: of the object store, for scripts that use MoXing.
        """
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._program(),
                cwd=self._code,
                env=self._environment(endpoint),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _program(self) -> list[str]:
        """Return the boot file with its arguments, or the command of a custom image, which a shell reads."""
        if self._request.image:
            return ["/bin/bash", "-c", self._request.command]
        boot = PurePosixPath(ObjectAddress.parse_folder(self._request.boot_file).key)
        code = PurePosixPath(ObjectAddress.parse_folder(self._request.code_dir).key)
        return [sys.executable, str(self._code / boot.relative_to(code)), *self._arguments()]

    def push_outputs(self, *, everything: bool) -> None:
        """Synchronise the output folders to the object store, without AtlasFlow's metadata, as the platform does.

        Args:
            everything: False while the script runs: a file that changed a moment ago waits for the next call.
        """
        for channel, local in self._outputs():
            bucket, prefix = ObjectAddress.parse_folder(channel.address).parts
            for path, stamp in self._changed(local, everything=everything):
                self._stores(bucket).put_bare(f"{prefix}/{path.relative_to(local).as_posix()}", path)
                self._sent[path] = stamp

    def remove(self) -> None:
        """Free the disk space, as the platform does when a job has ended; the log is kept."""
        shutil.rmtree(self._root)

    def push_log(self) -> None:
        """Export the log to the folder in the request, if it has one (modelarts.md §1.3)."""
        if self._request.log_folder and self.log.exists():
            bucket, prefix = ObjectAddress.parse_folder(self._request.log_folder).parts
            self._stores(bucket).put_bare(f"{prefix}/{self.log.name}", self.log)

    @property
    def _code(self) -> Path:
        code = self._request.code_dir
        name = PurePosixPath(ObjectAddress.parse_folder(code).key).name if code else ""
        return self._local(_MOUNT / "user-job-dir" / name)

    def _local(self, path: PurePosixPath) -> Path:
        """Map a path of the container to this machine."""
        if not path.is_absolute() or ".." in path.parts:
            raise ContainerFailed(f"{path} is not an absolute path")
        return self._root.joinpath(*path.parts[1:])

    def _inputs(self) -> Iterator[tuple[Channel, Path]]:
        return self._placed("inputs", self._request.inputs)

    def _outputs(self) -> Iterator[tuple[Channel, Path]]:
        return self._placed("outputs", self._request.outputs)

    def _placed(self, kind: str, channels: tuple[Channel, ...]) -> Iterator[tuple[Channel, Path]]:
        """Yield each channel with its local folder."""
        for index, channel in enumerate(channels):
            default = _MOUNT / kind / f"{channel.name}_{index}"
            yield channel, self._local(PurePosixPath(channel.local_dir or default))

    def _channels(self) -> Iterator[tuple[Channel, Path]]:
        """Yield each channel with what its argument says: its local folder, or the one file of an input."""
        for channel, local in self._inputs():
            file = local / PurePosixPath(channel.address).name
            yield channel, file if not channel.address.endswith("/") and file.is_file() else local
        yield from self._outputs()

    def _arguments(self) -> list[str]:
        """Return channels passed as parameters, then parameters; the spelling is unconfirmed (modelarts.md §1.6)."""
        pairs = [(channel.name, str(local)) for channel, local in self._channels() if channel.access == "parameter"]
        pairs += self._request.parameters
        if self._spelling == "joined":
            return [f"--{name}={value}" for name, value in pairs]
        return [word for name, value in pairs for word in (f"--{name}", value)]

    def _environment(self, endpoint: str) -> dict[str, str]:
        """Return the platform's variables; of this machine's only the search path, as a container is isolated."""
        mount = self._local(_MOUNT)
        instance = f"modelarts-job-{self._id}-{TASK}"
        environment = {
            # `python` of a custom image is this machine's, too.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "LANG": "C.UTF-8",
            "HOME": str(mount.parent),
            "PYTHONUNBUFFERED": "1",
            "ONEDNN_MAX_CPU_ISA": os.environ.get("ONEDNN_MAX_CPU_ISA", "AVX2"),  # mindspore.md §6.2
            "PYTHONPATH": os.pathsep.join(map(str, self._module_path())),
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
            "VC_WORKER_HOSTS": f"{instance}.modelarts-job-{self._id}",
            "S3_ENDPOINT": endpoint,
            "S3_VERIFY_SSL": "0",
            "S3_USE_HTTPS": "1" if endpoint.startswith("https") else "0",
            **({} if self._ours else passed_on(os.environ)),  # for MoXing, as `service` gave them to the stand-in
            "ATLASFLOW_EXIT_WITH_STDIN": "1",
            KERNELS: os.environ.get(KERNELS, ""),  # spares each job the compilation
        }
        environment |= {channel.name: str(local) for channel, local in self._channels() if channel.access == "env"}
        return environment | dict(self._request.environment)

    def _module_path(self) -> list[Path]:
        return [self._folder / "packages", MOXING, *([COMPATIBILITY] if self._old_names else [])]

    @property
    def _old_names(self) -> bool:
        return self._compatible and not self._ours

    @property
    def _ours(self) -> bool:
        """True for a training by `models/main.py`, which needs neither keys nor names of MindSpore 1.x."""
        return _SPEC in self._request.environment

    def _fetch(self, what: str, address: str, folder: Path) -> None:
        """Fetch all objects under an address into a folder, or the one object at the address."""
        bucket, prefix = ObjectAddress.parse_folder(address).parts
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
        """Yield the files that were not sent in their current state, each with its size and modification time."""
        for path in sorted(folder.rglob("*")):
            try:
                status = path.stat()
                stamp = (status.st_size, status.st_mtime_ns)
                settled = everything or time.time() - status.st_mtime > _SETTLED_SECONDS
                if path.is_file() and settled and self._sent.get(path) != stamp:
                    yield path, stamp
            except FileNotFoundError:  # the script renamed or removed it in between
                continue
