"""Documents that the API of the stand-in creates, shows, lists, changes and deletes: algorithms and experiments."""

import json
import threading
import time
import uuid
from pathlib import Path

from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.request import JsonObject, as_object, object_of, text_of
from infra.store.atomic import write_text


class Shelf:
    """Documents with a unique name, in one file.

    Args:
        path: of the file.
        what: for messages, such as `algorithm`.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._lock = threading.RLock()

    def create(self, document: object) -> JsonObject:
        """Keep a document under a new id.

        Raises:
            ApiError: it has no name, or one that is taken.
        """
        body = object_of(document, "the body")
        metadata = object_of(body.get("metadata"), "metadata")
        name = text_of(metadata.get("name"), "metadata.name")
        if not 1 <= len(name) <= 64:
            raise ApiError(ErrorCode.INVALID_PARAMETER, f"the name of an {self._what} has 1 to 64 characters")
        with self._lock:
            kept = self._read()
            if self.is_taken(name):
                raise ApiError(ErrorCode.DUPLICATE_NAME, f"an {self._what} has the name {name} already")
            found: JsonObject = {
                **body,
                "metadata": {**metadata, "id": str(uuid.uuid4()), "create_time": int(time.time() * 1000)},
            }
            self._write([*kept, found])
            return found

    def is_taken(self, name: str) -> bool:
        """True when a document has this name."""
        return any(as_object(item["metadata"]).get("name") == name for item in self._read())

    def show(self, identity: str) -> JsonObject:
        """Return one document.

        Raises:
            ApiError: there is none with this id.
        """
        for item in self._read():
            if as_object(item["metadata"]).get("id") == identity:
                return item
        raise ApiError(ErrorCode.UNKNOWN_ALGORITHM, f"there is no {self._what} {identity}")

    def page(self, offset: int, limit: int) -> JsonObject:
        """Return a page, newest first; the offset counts documents."""
        found = list(reversed(self._read()))
        page = found[offset : offset + limit]
        return {"total": len(found), "count": len(page), "limit": limit, "offset": offset, "items": page}

    def change(self, identity: str, document: object) -> JsonObject:
        """Replace a document's parts; its id stays.

        Raises:
            ApiError: as for `create` and `show`.
        """
        body = object_of(document, "the body")
        with self._lock:
            old = self.show(identity)
            metadata = {**as_object(old["metadata"]), **object_of(body.get("metadata", {}), "metadata"), "id": identity}
            text_of(metadata.get("name"), "metadata.name")
            new: JsonObject = {**old, **body, "metadata": metadata}
            self._write([new if item == old else item for item in self._read()])
            return new

    def delete(self, identity: str) -> None:
        """Delete a document.

        Raises:
            ApiError: there is none with this id.
        """
        with self._lock:
            found = self.show(identity)
            self._write([item for item in self._read() if item != found])

    def _read(self) -> list[JsonObject]:
        with self._lock:
            return list(json.loads(self._path.read_text(encoding="utf-8"))) if self._path.exists() else []

    def _write(self, documents: list[JsonObject]) -> None:
        write_text(self._path, json.dumps(documents, indent=1))
