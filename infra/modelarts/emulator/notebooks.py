"""Notebook instances of the ModelArts stand-in: their records and phases; no Jupyter runs behind them."""

import json
import re
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.modelarts.codes import ApiError
from infra.modelarts.emulator.validation import FLAVORS
from infra.store.atomic import write_text

IMAGE = "00000000-0000-4000-8000-000000000001"
IMAGES = [{"id": IMAGE, "name": "mindspore-stand-in", "arch": "X86_64", "type": "BUILD_IN", "status": "ACTIVE"}]
_NAME = re.compile(r"[\w-]{1,128}")  # the SDK's model NotebookCreateRequest; two may have the same name
_SHORTEST, _LONGEST, _DEFAULT = 3_600_000, 259_200_000, 3_600_000  # of a lease, in ms: the SDK's model LeaseReq
_SETTLES: dict[str, str] = {"CREATING": "RUNNING", "STARTING": "RUNNING", "STOPPING": "STOPPED"}
_SECONDS = 0.5


class Notebooks:
    """All notebook instances, in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._all: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def create(self, body: Any) -> dict[str, Any]:
        """Create one; it runs a moment later.

        Raises:
            ApiError: something in the request is wrong.
        """
        if not isinstance(body, dict) or not _NAME.fullmatch(str(body.get("name", ""))):
            raise ApiError("0104", "a name has 1 to 128 letters, digits, _ and -")
        if body.get("flavor") not in [item["flavor_id"] for item in FLAVORS]:
            raise ApiError("2781", f"the flavor {body.get('flavor')} does not exist")
        if body.get("image_id") != IMAGE:
            raise ApiError("0104", f"the image {body.get('image_id')} does not exist")
        asked = body.get("volume") or {}
        if asked.get("category") == "OBS" and not (asked.get("uri") and asked.get("dew_secret_name")):
            raise ApiError("0104", "storage in OBS takes an address and the name of a credential")
        volume = {"category": "EVS", "ownership": "MANAGED", "capacity": 5, **asked}
        with self._lock:
            identity = str(uuid.uuid4())
            self._all[identity] = {
                "id": identity,
                "name": body["name"],
                "description": body.get("description", ""),
                "flavor": body["flavor"],
                "feature": "NOTEBOOK",
                "workspace_id": body.get("workspace_id", "0"),
                "image": {"id": IMAGE, "name": "mindspore-stand-in"},
                "volume": {**volume, "mount_path": "/home/ma-user/work/", "status": "MOUNTED"},
                "url": f"https://authoring-modelarts.invalid/{identity}/lab",
                "lease": _lease((body.get("lease") or {}).get("duration") or body.get("duration") or _DEFAULT),
            }
            return self._enter(identity, "CREATING")

    def page(self, query: Mapping[str, str], offset: int, limit: int) -> dict[str, Any]:
        """A page of them, filtered by name and status."""
        with self._lock:
            found = [self._look(identity) for identity in self._all]
            for key in ("name", "status"):
                found = [item for item in found if query.get(key, "") in item[key]]
            data = found[offset : offset + limit]
            pages = -(-len(found) // limit)
            return {"current": offset // limit, "data": data, "pages": pages, "size": limit, "total": len(found)}

    def show(self, identity: str) -> dict[str, Any]:
        """One instance."""
        with self._lock:
            return self._look(identity)

    def start(self, identity: str, duration: int | None) -> dict[str, Any]:
        """Start a stopped one."""
        with self._lock:
            if self._look(identity)["status"] != "STOPPED":
                raise ApiError("0104", "only a stopped notebook can be started")
            self._all[identity]["lease"] = _lease(duration or _DEFAULT)
            return self._enter(identity, "STARTING")

    def stop(self, identity: str) -> dict[str, Any]:
        """Stop a running one."""
        with self._lock:
            if self._look(identity)["status"] != "RUNNING":
                raise ApiError("0104", "only a running notebook can be stopped")
            return self._enter(identity, "STOPPING")

    def delete(self, identity: str) -> dict[str, Any]:
        """Delete one, whatever it does."""
        with self._lock:
            gone = self._look(identity) | {"status": "DELETED"}
            del self._all[identity]
            self._save()
            return gone

    def _look(self, identity: str) -> dict[str, Any]:
        """The instance as it is by now: phases pass, and a lease ends, while nobody looks."""
        if identity not in self._all:
            raise ApiError("0104", f"the notebook {identity} does not exist")
        item = self._all[identity]
        if item["status"] in _SETTLES and time.time() > item["changed"] + _SECONDS:
            self._enter(identity, _SETTLES[item["status"]])
        lease = item["lease"]
        if item["status"] == "RUNNING" and time.time() * 1000 > lease["update_at"] + lease["duration"]:
            self._enter(identity, "STOPPED")
        return {key: value for key, value in item.items() if key != "changed"}

    def _enter(self, identity: str, status: str) -> dict[str, Any]:
        self._all[identity] |= {"status": status, "changed": time.time()}
        self._save()
        return {key: value for key, value in self._all[identity].items() if key != "changed"}

    def _save(self) -> None:
        write_text(self._path, json.dumps(self._all, indent=1))


def _lease(duration: int) -> dict[str, Any]:
    if not _SHORTEST <= int(duration) <= _LONGEST:
        raise ApiError("0104", f"a lease lasts between {_SHORTEST} and {_LONGEST} ms")
    now = int(time.time() * 1000)
    return {"create_at": now, "update_at": now, "duration": int(duration), "enable": True, "type": "timing"}
