"""Files outside the home, fetched by address: the port `ExternalFiles`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from infra.board.release_folder import check_identifier
from infra.faults import FaultPlan
from infra.fetch import fetch
from infra.obs.address import ObjectAddress
from infra.obs.release import fetch_release
from infra.ports.external import FetchProgress
from infra.ports.storage import ObjectStore
from infra.store.artifacts import folder_files
from infra.store.digests import file_digest, text_digest

OBS = "obs://"


class AddressedFiles:
    """Fetches over HTTP(S), from this machine, and from any bucket that the settings have keys for."""

    def __init__(self, open_bucket: Callable[[str], ObjectStore], home: Path, faults: FaultPlan) -> None:
        self._open_bucket = open_bucket
        self._folder = home / "inputs"
        self._faults = faults

    def fetch(self, addresses: Sequence[str], target: Path, sha256: str, progress: FetchProgress) -> None:
        """Fetch a file from the first address that has it; an object's address stands alone."""
        if not addresses[0].startswith(OBS):
            fetch(addresses, target, sha256, progress, self._faults)
            return
        store, key = self._object(addresses[0])
        found = store.head(key)
        moved = 0.0

        def count(size: int) -> None:
            nonlocal moved
            moved += size
            progress(moved, 0 if found is None else found.size)

        store.get(key, target, sha256, count)

    def local_copy(self, address: str) -> Path:
        """The local copy of an object; fetched again when the object has changed."""
        store, key = self._object(address)
        found = store.head(key)
        target = self._folder / text_digest(address)[:16] / key.rpartition("/")[2]
        if found is None or not target.is_file() or found.sha256 != file_digest(target):
            store.get(key, target, None if found is None else found.sha256)
        return target

    def release(self, address: str) -> Path:
        """The local copy of the board files of a release, whose id is recomputed from what was fetched.

        Raises:
            Corrupt: its content has another id.
        """
        bucket, prefix = ObjectAddress.parse_folder(address).parts
        folder = fetch_release(self._open_bucket(bucket), prefix, self._folder / text_digest(address)[:16])
        check_identifier(folder_files(folder)[1], address)
        return folder

    def _object(self, address: str) -> tuple[ObjectStore, str]:
        bucket, key = ObjectAddress.parse_object(address).parts
        return self._open_bucket(bucket), key
