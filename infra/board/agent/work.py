"""Folders for pictures and trials of one connection. Standard library only.

Each is locked by the process that made it, so that one whose process was killed can be told from one in use.
"""

import fcntl
import os
import shutil
import tempfile
from typing import Dict, Sequence


class Work:
    """The folders of this process below `place`."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._held: Dict[str, int] = {}

    def __contains__(self, folder: str) -> bool:
        return folder in self._held

    def make(self, names: Sequence[str] = ()) -> str:
        """Remove what killed processes left, and create a folder with empty folders in it."""
        os.makedirs(self.place, exist_ok=True)
        whole = _open(self.place)
        try:
            _lock(whole)  # or another process could clear the new folder before it is locked
            _clear(self.place)
            folder = tempfile.mkdtemp(dir=self.place)
            self._held[folder] = _open(folder)
            _lock(self._held[folder])
        finally:
            os.close(whole)
        for name in names:
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        return folder

    def drop(self, folder: str) -> None:
        """Remove a folder of `make`."""
        descriptor = self._held.pop(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)

    def close(self) -> None:
        """Remove all."""
        for folder in list(self._held):
            self.drop(folder)


def clear(place: str) -> None:
    """Remove the folders below `place` that no process holds."""
    if not os.path.isdir(place):
        return
    whole = _open(place)
    try:
        _lock(whole)
        _clear(place)
    finally:
        os.close(whole)


def _clear(place: str) -> None:
    for name in os.listdir(place):
        folder = os.path.join(place, name)
        if os.path.islink(folder) or not os.path.isdir(folder):
            os.unlink(folder)
            continue
        descriptor = _open(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, or a file system that cannot tell
            continue
        finally:
            os.close(descriptor)


def _open(folder: str) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system without locks, on which nothing is cleared
        return
