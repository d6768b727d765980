"""What a disk holds after a power cut: what was flushed, and any part of what was not.

The files are real ones in a file system in memory. A flush of a file makes its bytes durable, a flush of a folder its
names, as POSIX promises and no more. What was written since then survives or not, each change by itself and in any
order; a rename is one change. A file that was not flushed keeps its bytes, only the first of them, zeros in their
place, or those of the last flush.
"""

import os
import random
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path


class Disk:
    """The disk below a folder; inodes of its file system must not be used again (tmpfs)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[int, dict[str, int]] = {}
        self._bytes: dict[int, bytes] = {}
        self._links: dict[int, Path] = {}
        self.settle()

    def flush(self, descriptor: int) -> None:
        """Make durable what an open file or folder holds now."""
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            self._flush_names(descriptor, found.st_ino)
        else:
            self._bytes[found.st_ino] = _read(descriptor)

    def cut(self, dice: random.Random) -> None:
        """Cut the power, and start with what has survived."""
        now = dict(_inodes(self.folder))
        root = self.folder.stat().st_ino
        kept = self._choose({number: names for number, (_, names) in now.items() if names is not None}, dice)
        rebuilt = self.folder.with_name(f"{self.folder.name}.survived")
        self._rebuild(rebuilt, root, kept, now, dice)
        shutil.rmtree(self.folder)
        rebuilt.rename(self.folder)
        self.settle()

    def _flush_names(self, descriptor: int, folder: int) -> None:
        names = {}
        with os.scandir(descriptor) as entries:
            for entry in entries:
                names[entry.name] = number = entry.inode()
                if entry.is_symlink():
                    self._links[number] = Path(os.readlink(entry.name, dir_fd=descriptor))
        came = set(names.values()) - set(self._names.get(folder, {}).values())
        self._names[folder] = names
        # A rename is one change: a name that has moved into this folder is durably gone from the old one.
        moved = [(other, name) for other, known in self._names.items() for name, to in known.items() if to in came]
        if any(other != folder for other, _ in moved):
            present = {number: inner for number, (_, inner) in _inodes(self.folder) if inner is not None}
            for other, name in moved:
                if present.get(other, {}).get(name) != self._names[other][name]:
                    del self._names[other][name]

    def settle(self) -> None:
        """Let all that is there now be durable."""
        self._names.clear()
        self._bytes.clear()
        self._links.clear()
        for number, (path, names) in _inodes(self.folder):
            if names is not None:
                self._names[number] = names
            elif path.is_symlink():
                self._links[number] = path.readlink()
            else:
                self._bytes[number] = path.read_bytes()

    def _choose(self, present: dict[int, dict[str, int]], dice: random.Random) -> dict[int, dict[str, int]]:
        """Choose for each changed name whether the change has survived; changes of one rename survive together."""
        before = {(folder, name): to for folder, names in self._names.items() for name, to in names.items()}
        after = {(folder, name): to for folder, names in present.items() for name, to in names.items()}
        changed = [slot for slot in {**before, **after} if before.get(slot) != after.get(slot)]
        groups = _Groups()
        came = {after[slot] for slot in changed if slot in after}
        went = {before[slot] for slot in changed if slot in before}
        for slot in changed:
            for number in (before.get(slot), after.get(slot)):
                if number is not None and number in came and number in went:
                    groups.join(slot, number)
        survives: dict[object, bool] = {}
        likely = dice.choice((0.0, 0.3, 0.7))
        kept = {folder: dict(names) for folder, names in present.items()}
        for slot in changed:
            if not survives.setdefault(groups.of(slot), dice.random() < likely):
                folder, name = slot
                kept.setdefault(folder, {}).pop(name, None)
                if slot in before:
                    kept[folder][name] = before[slot]
        return kept

    def _rebuild(
        self,
        target: Path,
        folder: int,
        kept: dict[int, dict[str, int]],
        now: "dict[int, tuple[Path, dict[str, int] | None]]",
        dice: random.Random,
    ) -> None:
        made: dict[int, Path] = {}
        pending = [(target, folder)]
        while pending:
            path, number = pending.pop()
            if number in made and number not in kept:
                path.hardlink_to(made[number])
                continue
            made[number] = path
            source = now[number][0] if number in now else None
            if number in kept or number in self._names:
                path.mkdir()
                if source is not None:
                    path.chmod(stat.S_IMODE(source.stat().st_mode))
                pending += [(path / name, to) for name, to in sorted(kept.get(number, {}).items())]
            elif number in self._links or (source is not None and source.is_symlink()):
                path.symlink_to(self._links[number] if source is None else source.readlink())
            elif source is not None:
                path.write_bytes(self._survived(number, source.read_bytes(), dice))
                path.chmod(stat.S_IMODE(source.stat().st_mode))
                os.utime(path, ns=(source.stat().st_mtime_ns, source.stat().st_mtime_ns))
            else:  # it was removed, and the removal is lost
                path.write_bytes(self._bytes.get(number, b""))

    def _survived(self, number: int, written: bytes, dice: random.Random) -> bytes:
        durable = self._bytes.get(number, b"")
        if durable == written:
            return written
        part = dice.randrange(len(written) + 1)
        return dice.choice((durable, written, written[:part], written[:part] + bytes(len(written) - part)))


class _Groups:
    """Sets that are joined by common members."""

    def __init__(self) -> None:
        self._parent: dict[object, object] = {}

    def of(self, item: object) -> object:
        while item in self._parent:
            item = self._parent[item]
        return item

    def join(self, one: object, other: object) -> None:
        first, second = self.of(one), self.of(other)
        if first != second:
            self._parent[first] = second


def _inodes(folder: Path) -> "Iterator[tuple[int, tuple[Path, dict[str, int] | None]]]":
    """Each inode below a folder: a path of it, and for a folder its names."""
    pending = [(folder, folder.stat().st_ino, True)]
    while pending:
        path, number, is_folder = pending.pop()
        if not is_folder:
            yield number, (path, None)
            continue
        with os.scandir(path) as entries:
            found = sorted((entry.name, entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in entries)
        yield number, (path, {name: to for name, to, _ in found})
        pending += [(path / name, to, inner) for name, to, inner in found]


def _read(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    try:
        return os.pread(descriptor, size, 0)
    except OSError:  # opened for writing only
        return Path(f"/proc/self/fd/{descriptor}").read_bytes()
