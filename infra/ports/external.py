"""The port to files that users name and that lie outside the home."""

from collections.abc import Callable, Sequence
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

    def release(self, address: str) -> Path:
        """The local copy of the board files of a release published under `obs://bucket/prefix/`.

        Raises:
            Refused: there is no complete release.
            Corrupt: an object differs from the release's listing.
        """
        ...
