"""The folders of complete releases on a board, and the links that lead to them (releases.py). Standard library only."""

import os
import shutil
from typing import Dict, List, Optional

from .failure import REFUSED, Failure
from .files import sync
from .manifest import MANIFEST
from .manifest import read as read_manifest

VARIANT = "~"  # between the id of a release and the number of its folder
LINKS = ("current", "previous")


class Folders:
    """The folders below `root`, an absolute path."""

    def __init__(self, root: str) -> None:
        self.root = root

    def path(self, name: str) -> str:
        """The path of a folder."""
        return os.path.join(self.root, "releases", name)

    def names(self) -> List[str]:
        """The names of the folders of complete releases."""
        try:
            names = os.listdir(os.path.join(self.root, "releases"))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in names if os.path.exists(os.path.join(self.path(name), MANIFEST))]

    def of(self, release: str) -> List[str]:
        """The names of the folders of a release, the one in service first, then the oldest."""
        names = [name for name in self.names() if identifier_of(name) == release]
        return sorted(names, key=lambda name: (name != self.target("current"), _variant(name)))

    def newest(self, release: str) -> str:
        """The folder of a complete release: the one that a link leads to, else the newest.

        Raises:
            Failure: there is none.
        """
        names = self.of(release)
        for link in LINKS:
            linked = self.target(link)
            if linked in names:
                return self.path(linked)
        if not names:
            raise Failure(REFUSED, "the board has no release " + release, "deploy it")
        return self.path(max(names, key=_variant))

    def free(self, release: str) -> str:
        """The path of a folder for a release that does not exist yet."""
        present = os.listdir(os.path.join(self.root, "releases"))
        taken = [_variant(name) for name in present if identifier_of(name) == release]
        return self.path(f"{release}{VARIANT}{max(taken) + 1}" if taken else release)

    def changed(self) -> Dict[str, float]:
        """When each complete release arrived, in seconds since 1970: the newest of its folders counts."""
        found: Dict[str, float] = {}
        for name in self.names():
            arrived = os.stat(os.path.join(self.path(name), MANIFEST)).st_mtime
            found[identifier_of(name)] = max(arrived, found.get(identifier_of(name), 0))
        return found

    def remove(self, name: str) -> None:
        """Remove a folder; its manifest first: a half-removed release must not count as one."""
        os.unlink(os.path.join(self.path(name), MANIFEST))
        shutil.rmtree(self.path(name))

    def by_digest(self) -> Dict[str, str]:
        """The SHA-256 of each file of the complete releases to its path."""
        found = {}
        for name in self.names():
            folder = self.path(name)
            try:
                files = read_manifest(folder).files
            except Failure:  # of a version before signatures: its files are sent again
                continue
            for path, entry in files.items():
                found[entry["sha256"]] = os.path.join(folder, path)
        return found

    def target(self, link: str) -> Optional[str]:
        """The name of the folder that a link leads to."""
        try:
            return os.path.basename(os.readlink(os.path.join(self.root, link)))
        except OSError:
            return None

    def linked(self, link: str) -> Optional[str]:
        """The id of the release that a link leads to."""
        target = self.target(link)
        return None if target is None else identifier_of(target)

    def link(self, name: str, folder: str) -> None:
        """Let a link lead to a folder, atomically and durably."""
        temporary = os.path.join(self.root, name + ".new")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(os.path.join("releases", folder), temporary)
        os.replace(temporary, os.path.join(self.root, name))
        sync(self.root)


def identifier_of(folder: str) -> str:
    """The id of the release in a folder with this name."""
    return folder.partition(VARIANT)[0]


def _variant(folder: str) -> int:
    number = folder.partition(VARIANT)[2]
    return int(number) if number.isdigit() else 0
