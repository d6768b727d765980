"""A bucket behind the simulated network: the port `ObjectStore`, with atomic objects and read after write."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from infra.errors import Corrupt, Refused, Transient
from infra.ports.storage import StoredObject, SyncResult
from infra.ports.values import LocalFile, OnBytes
from infra.store.atomic import write_bytes
from tests.simulation.network import Lost, Network

T = TypeVar("T")


class Bucket:
    """The objects of one bucket, by key."""

    bucket = "simulated"
    emulated = False

    def __init__(self, network: Network) -> None:
        self.objects: dict[str, bytes] = {}
        self.look: Callable[[], None] = lambda: None  # called after each change
        self._network = network

    def ensure_bucket(self) -> bool:
        return False

    def head(self, key: str) -> StoredObject | None:
        data = self._call(lambda: self.objects.get(key))
        return None if data is None else StoredObject(key, len(data), hashlib.sha256(data).hexdigest())

    def list(self, prefix: str) -> Iterable[tuple[str, int]]:
        return self._call(
            lambda: [(key, len(data)) for key, data in sorted(self.objects.items()) if key.startswith(prefix)]
        )

    def put(self, key: str, source: LocalFile, progress: OnBytes | None = None) -> None:
        data = source.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != source.sha256:
            raise Corrupt(f"{source.path} is not what its digest says")
        self._call(lambda: self.objects.update({key: data}))
        self.look()

    def get(self, key: str, target: Path, sha256: str | None = None, progress: OnBytes | None = None) -> str:
        data = self._call(lambda: self.objects.get(key))
        if data is None:
            raise Refused(f"there is no object {key}")
        digest = hashlib.sha256(data).hexdigest()
        if sha256 not in (None, digest):
            raise Corrupt(f"{key} is not what its digest says")
        write_bytes(target, data)
        return digest

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        sent, kept, size = [], [], 0
        for name, file in files.items():
            found = self.head(f"{prefix}/{name}")
            if found is not None and found.sha256 == file.sha256:
                kept.append(name)
                continue
            self.put(f"{prefix}/{name}", file)
            sent.append(name)
            size += file.size
        return SyncResult(tuple(sent), tuple(kept), size)

    def _call(self, serve: Callable[[], T]) -> T:
        try:
            return self._network.call("bucket", serve)
        except Lost as error:
            raise Transient("the bucket does not answer") from error
