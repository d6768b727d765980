"""Files outside the home, fetched by address: the port `ExternalFiles`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.board.release_folder import check_identifier
from infra.faults import FaultPlan
from infra.fetch import fetch
from infra.home import INPUTS
from infra.obs.address import ObjectAddress
from infra.obs.release import fetch_release
from infra.ports.external import FetchProgress
from infra.ports.storage import ObjectStore
from infra.store.artifacts import folder_files
from infra.store.digests import file_digest, text_digest

if TYPE_CHECKING:
    from infra.obs.client import ObsClient

OBS = "obs://"


class AddressedFiles:
    """Fetches over HTTP(S), from this machine, and from any bucket that the settings have keys for."""

    def __init__(
        self, open_bucket: Callable[[str], "ObsClient"], home: Path, faults: FaultPlan, threads: int = 8
    ) -> None:
        self._open_bucket = open_bucket
        self._folder = home / INPUTS
        self._faults = faults
        self._threads = threads

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

    def is_object(self, address: str) -> bool:
        """Look the object up."""
        store, key = self._object(address)
        return store.head(key) is not None

    def local_folder(self, address: str) -> Path:
        """The local copy of a folder."""
        from infra.obs.inputs import copy_folder  # noqa: PLC0415 - boto3 is for those who use it

        bucket, prefix = ObjectAddress.parse_folder(address).parts
        folder = self._folder / text_digest(f"{OBS}{bucket}/{prefix}/")[:16]
        return copy_folder(self._open_bucket(bucket), prefix, folder, self._threads)

    def local_files(self, name: str, addresses: Mapping[str, str], own: Mapping[str, Path]) -> Path:
        """A folder with copies of single objects and files."""
        from infra.obs.inputs import copy_objects  # noqa: PLC0415 - as above

        found = {path: ObjectAddress.parse_object(address).parts for path, address in addresses.items()}
        stores = {bucket: self._open_bucket(bucket) for bucket in {bucket for bucket, _ in found.values()}}
        wanted = {path: (stores[bucket], key) for path, (bucket, key) in found.items()}
        return copy_objects(wanted, own, self._folder / text_digest(name)[:16], self._threads)

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
