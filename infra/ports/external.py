"""The port to files that users name and that lie outside the home."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

FetchProgress = Callable[[float, float], None]
"""Receives the bytes that have arrived and the bytes in all (0 when unknown)."""


class ExternalFiles(Protocol):
    """Fetches files by address: `https://…`, `file://…`, a path, or `obs://bucket/key`."""

    def fetch(self, addresses: Sequence[str], target: Path, sha256: str, progress: FetchProgress) -> None:
        """Fetch a file from the first address that has it, resumed and checked against `sha256` where that is given.

        Raises:
            UserError: an address is malformed.
            Refused: there is no such file.
            Corrupt: the file has another digest.
        """
        ...

    def local_copy(self, address: str) -> Path:
        """The local copy of `obs://bucket/key`, below `home/inputs`; fetched again when the object has changed."""
        ...

    def is_object(self, address: str) -> bool:
        """True when `obs://bucket/key` is one object."""
        ...

    def local_folder(self, address: str) -> Path:
        """The local copy of everything under `obs://bucket/prefix/`; changed objects are fetched again.

        Raises:
            Refused: nothing lies there.
            UserError: a key cannot be a path of this machine.
        """
        ...

    def local_files(self, name: str, addresses: Mapping[str, str], own: Mapping[str, Path]) -> Path:
        """A folder with copies of objects, by their path in it; those that do not exist are left out.

        Args:
            name: tells this folder from others.
            addresses: `obs://bucket/key` by path.
            own: files of this machine to copy there, by path.

        Raises:
            UserError: a path leaves the folder.
        """
        ...

    def release(self, address: str) -> Path:
        """The local copy of the board files of a release published under `obs://bucket/prefix/`.

        Raises:
            Refused: there is no complete release.
            Corrupt: an object differs from the release's listing.
        """
        ...
