"""Notebook instances of the ModelArts stand-in: records with phases, and a Jupyter behind each that runs."""

import json
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.offers import FLAVOR
from infra.modelarts.emulator.request import JsonObject, as_object
from infra.modelarts.phases import NotebookStatus
from infra.store.atomic import write_text

IMAGE = "00000000-0000-4000-8000-000000000001"
_IMAGE_NAME = "mindspore-stand-in"
IMAGES = [{"id": IMAGE, "name": _IMAGE_NAME, "arch": "X86_64", "type": "BUILD_IN", "status": "ACTIVE"}]
_NAME = re.compile(r"[\w-]{1,128}")  # the SDK's model NotebookCreateRequest; names are not unique
_MIN_LEASE, _MAX_LEASE, _DEFAULT_LEASE = 3_600_000, 259_200_000, 3_600_000  # ms: the SDK's model LeaseReq
_NEXT = {
    NotebookStatus.CREATING: NotebookStatus.RUNNING,
    NotebookStatus.STARTING: NotebookStatus.RUNNING,
    NotebookStatus.STOPPING: NotebookStatus.STOPPED,
}
_PHASE_SECONDS = 0.5


class Jupyter(Protocol):
    """What runs behind an instance."""

    @property
    def url(self) -> str:
        """Its address for a browser."""
        ...

    @property
    def failure(self) -> str:
        """Why it ended by itself; empty while it runs."""
        ...

    def start(self) -> None:
        """Start it."""
        ...

    def ready(self) -> bool:
        """True when it answers."""
        ...

    def stop(self) -> None:
        """Stop it; its files stay."""
        ...


OpenJupyter = Callable[[Path, str], Jupyter]
"""Makes what runs behind an instance, of its folder and the address of its storage (empty for a disk)."""


@dataclass(frozen=True)
class Lease:
    """How long an instance may run: milliseconds since 1970, and a duration in milliseconds."""

    create_at: int
    update_at: int
    duration: int
    enable: bool = True
    type: str = "timing"


@dataclass
class Instance:
    """One instance; its fields, apart from `changed`, are those of the API.

    Attributes:
        changed: time of the last change of its status, in seconds since 1970.
    """

    id: str
    name: str
    description: str
    flavor: str
    workspace_id: str
    volume: JsonObject
    url: str
    lease: Lease
    feature: str = "NOTEBOOK"
    image: JsonObject = field(default_factory=lambda: {"id": IMAGE, "name": _IMAGE_NAME})
    status: NotebookStatus = NotebookStatus.CREATING
    fail_reason: str = ""
    changed: float = field(default_factory=time.time)

    def enter(self, status: NotebookStatus) -> None:
        """Change the status."""
        self.status, self.changed = status, time.time()

    def to_api(self) -> JsonObject:
        """Return the instance as the API returns it."""
        return {name: value for name, value in asdict(self).items() if name != "changed"}


def _read_instance(values: dict[str, Any]) -> Instance:
    values |= {"lease": Lease(**values["lease"]), "status": NotebookStatus(values["status"])}
    return Instance(**values)


class Notebooks:
    """All notebook instances, in one file.

    Args:
        path: the file; the folder of an instance is beside it, in `notebooks/ID`.
        open_jupyter: makes what runs behind an instance; None: instances are records alone.
    """

    def __init__(self, path: Path, open_jupyter: OpenJupyter | None = None) -> None:
        self._path = path
        self._open_jupyter = open_jupyter
        self._jupyters: dict[str, Jupyter] = {}
        self._lock = threading.Lock()
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self._all = {identity: _read_instance(values) for identity, values in stored.items()}
        for instance in self._all.values():
            if instance.status in (NotebookStatus.CREATING, NotebookStatus.STARTING, NotebookStatus.RUNNING):
                self._start_jupyter(instance)

    def create(self, body: object) -> JsonObject:
        """Create an instance, which runs a moment later.

        Raises:
            ApiError: the request is not valid.
        """
        request = as_object(body)
        name, flavor, image = (str(request.get(field, "")) for field in ("name", "flavor", "image_id"))
        if not _NAME.fullmatch(name):
            raise ApiError(ErrorCode.INVALID_PARAMETER, "a name has 1 to 128 letters, digits, _ and -")
        if flavor != FLAVOR:
            raise ApiError(ErrorCode.UNKNOWN_FLAVOR, f"the flavor {flavor} does not exist")
        if image != IMAGE:
            raise ApiError(ErrorCode.INVALID_PARAMETER, f"the image {image} does not exist")
        volume = as_object(request.get("volume"))
        if volume.get("category") == "OBS" and not (volume.get("uri") and volume.get("dew_secret_name")):
            raise ApiError(ErrorCode.INVALID_PARAMETER, "storage in OBS needs an address and the name of a credential")
        defaults = {"category": "EVS", "ownership": "MANAGED", "capacity": 5}
        identity = str(uuid.uuid4())
        instance = Instance(
            id=identity,
            name=name,
            description=str(request.get("description", "")),
            flavor=flavor,
            workspace_id=str(request.get("workspace_id", "0")),
            volume={**defaults, **volume, "mount_path": "/home/ma-user/work/", "status": "MOUNTED"},
            url=f"https://authoring-modelarts.invalid/{identity}/lab",
            lease=_lease(as_object(request.get("lease")).get("duration") or request.get("duration")),
        )
        with self._lock:
            self._all[identity] = instance
            self._start_jupyter(instance)
            self._save()
            return instance.to_api()

    def page(self, query: Mapping[str, str], offset: int, limit: int) -> JsonObject:
        """Return a page of the instances, filtered by parts of name and status."""
        with self._lock:
            found = [self._get(identity) for identity in self._all]
            found = [
                item for item in found if query.get("name", "") in item.name and query.get("status", "") in item.status
            ]
            data = [item.to_api() for item in found[offset : offset + limit]]
            pages = -(-len(found) // limit)
            return {"current": offset // limit, "data": data, "pages": pages, "size": limit, "total": len(found)}

    def show(self, identity: str) -> JsonObject:
        """Return one instance."""
        with self._lock:
            return self._get(identity).to_api()

    def start(self, identity: str, duration: int | None) -> JsonObject:
        """Start a stopped instance."""
        with self._lock:
            instance = self._get(identity)
            if instance.status != NotebookStatus.STOPPED:
                raise ApiError(ErrorCode.INVALID_PARAMETER, "only a stopped notebook can be started")
            instance.lease = _lease(duration)
            self._start_jupyter(instance)
            return self._enter(instance, NotebookStatus.STARTING)

    def stop(self, identity: str) -> JsonObject:
        """Stop a running instance."""
        with self._lock:
            instance = self._get(identity)
            if instance.status != NotebookStatus.RUNNING:
                raise ApiError(ErrorCode.INVALID_PARAMETER, "only a running notebook can be stopped")
            self._stop_jupyter(identity)
            return self._enter(instance, NotebookStatus.STOPPING)

    def delete(self, identity: str) -> JsonObject:
        """Delete an instance, whatever its status."""
        with self._lock:
            instance = self._get(identity)
            del self._all[identity]
            self._stop_jupyter(identity)
            shutil.rmtree(self._folder(identity), ignore_errors=True)
            return self._enter(instance, NotebookStatus.DELETED)

    def sweep(self) -> None:
        """Let time pass: phases, and the ends of leases, which stop what runs behind an instance."""
        with self._lock:
            for identity in self._all:
                self._get(identity)

    def close(self) -> None:
        """Stop everything that runs behind instances; it starts again with the stand-in."""
        with self._lock:
            for identity in list(self._jupyters):
                self._stop_jupyter(identity)

    def _start_jupyter(self, instance: Instance) -> None:
        if self._open_jupyter is not None:
            volume = instance.volume
            storage = str(volume.get("uri", "")) if volume.get("category") == "OBS" else ""
            jupyter = self._open_jupyter(self._folder(instance.id), storage)
            jupyter.start()
            self._jupyters[instance.id], instance.url = jupyter, jupyter.url

    def _stop_jupyter(self, identity: str) -> None:
        jupyter = self._jupyters.pop(identity, None)
        if jupyter is not None:
            jupyter.stop()

    def _folder(self, identity: str) -> Path:
        return self._path.parent / "notebooks" / identity

    def _get(self, identity: str) -> Instance:
        """Return an instance in its current status: phases pass, and a lease ends, between two requests."""
        if identity not in self._all:
            raise ApiError(ErrorCode.INVALID_PARAMETER, f"the notebook {identity} does not exist")
        instance = self._all[identity]
        jupyter = self._jupyters.get(identity)
        if jupyter is not None and jupyter.failure:
            instance.fail_reason = jupyter.failure
            self._stop_jupyter(identity)
            self._enter(instance, NotebookStatus.ERROR)
        due = instance.status in _NEXT and time.time() > instance.changed + _PHASE_SECONDS
        if due and (jupyter is None or jupyter.ready()):
            self._enter(instance, _NEXT[instance.status])
        lease = instance.lease
        if instance.status == NotebookStatus.RUNNING and time.time() * 1000 > lease.update_at + lease.duration:
            self._stop_jupyter(identity)
            self._enter(instance, NotebookStatus.STOPPED)
        return instance

    def _enter(self, instance: Instance, status: NotebookStatus) -> JsonObject:
        instance.enter(status)
        self._save()
        return instance.to_api()

    def _save(self) -> None:
        records = {identity: asdict(instance) for identity, instance in self._all.items()}
        write_text(self._path, json.dumps(records, indent=1))


def _lease(duration: object) -> Lease:
    milliseconds = duration or _DEFAULT_LEASE
    if not isinstance(milliseconds, int) or not _MIN_LEASE <= milliseconds <= _MAX_LEASE:
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"a lease lasts between {_MIN_LEASE} and {_MAX_LEASE} ms")
    now = int(time.time() * 1000)
    return Lease(now, now, milliseconds)
