"""Cache the digests of files, so that an unchanged file is not read again.

An entry is valid while size, mtime_ns, ctime_ns and inode are the same. Git's rule for "racily clean" entries
(Documentation/technical/racy-git.txt in Git) applies: a file that changed close to its last check may have changed
after it within one clock tick, so such an entry is not trusted and the file is read once more.
"""

import json
import os
import time
from pathlib import Path

from infra.store.atomic import write_text
from infra.store.digests import file_digest
from infra.store.disk import is_full, is_read_only

# Kernel time stamps lag the clock by up to one scheduler tick, at most 10 ms (CONFIG_HZ=100); twice that, for safety.
TICK_NS = 20_000_000

Fingerprint = tuple[int, int, int, int]


def fingerprint(path: Path) -> Fingerprint:
    """Return size, mtime_ns, ctime_ns and inode of a file."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def settled(mark: Fingerprint, checked_ns: int) -> bool:
    """True when a file with this fingerprint was last changed clearly before `checked_ns`."""
    return max(mark[1], mark[2]) < checked_ns - TICK_NS


class StatCache:
    """Digests by path. A lost or damaged cache file costs only time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = _read(path)
        self._changed = False

    def digest(self, path: Path, *, deep: bool = False) -> str:
        """Return the SHA-256 of the file, from the cache if its entry is valid and `deep` is False.

        Raises:
            FileNotFoundError: there is no such file.
        """
        name = str(path)
        mark = fingerprint(path)
        known = self._entries.get(name)
        if not deep and known is not None and known[0] == mark:
            return known[1]
        checked_ns = time.time_ns()
        digest = file_digest(path)
        if settled(mark, checked_ns):
            self._entries[name] = (mark, digest)
            self._changed = True
        return digest

    def save(self) -> None:
        """Save the entries for the next process.

        On a full or read-only disk they are lost, so that reading commands still work.
        """
        if not self._changed:
            return
        living = {name: entry for name, entry in self._entries.items() if os.path.exists(name)}  # noqa: PTH110
        # `Path.exists` raises for what may not be looked at, as in the former place of a home that was moved.
        try:
            write_text(self._path, json.dumps(living))
        except OSError as error:
            if not is_full(error) and not is_read_only(error):
                raise
        self._changed = False


def _read(path: Path) -> dict[str, tuple[Fingerprint, str]]:
    try:
        return {
            name: ((mark[0], mark[1], mark[2], mark[3]), digest)
            for name, (mark, digest) in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError):  # every file is read again
        return {}
