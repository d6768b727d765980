"""Files of a release on the board: digests, atomic writes, listings."""

import hashlib
import os
import shutil
from typing import Any, Dict, List, Optional

ANSWERS = "answers.jsonl"  # what `watch` answered, a JSON object a line
PART = ".part"  # the suffix of a file that is being copied


def digest(path: str) -> Optional[str]:
    """SHA-256 of a file; None when there is none."""
    result = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                result.update(block)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    return result.hexdigest()


def link_twin(twin: Optional[str], target: str, sha256: str) -> bool:
    """Link an equal file of another release, after a check of its digest; True when it was linked."""
    if twin is None or digest(twin) != sha256:
        return False
    temporary = target + ".twin"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    try:
        os.link(twin, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(twin, temporary)
    os.replace(temporary, target)
    return True


def settle_files(folder: str, files: Dict[str, Any]) -> List[str]:
    """Rename received files to their final names, and remove incomplete ones.

    All are flushed before the first rename, because a flush after each would wait for the disk's journal each time.

    Args:
        folder: of the release.
        files: path in it to `{"sha256": …}`.

    Returns:
        The files that are missing or have another digest.
    """
    arrived, broken = [], []
    for name in sorted(files):
        target = os.path.join(folder, name)
        part = target + PART
        if digest(part) == files[name]["sha256"]:
            os.chmod(part, 0o644)
            arrived.append((part, target))
            continue
        if os.path.exists(part):
            os.unlink(part)
        if digest(target) != files[name]["sha256"]:
            broken.append(name)
    for part, _ in arrived:
        sync(part)
    for part, target in arrived:
        os.replace(part, target)
    return broken


def remove_strangers(folder: str, files: Dict[str, Any]) -> None:
    """Remove files, links and empty folders that do not belong to a release."""
    for parent, folders, names in os.walk(folder, topdown=False):
        for name in names + folders:
            path = os.path.join(parent, name)
            if name in folders and not os.path.islink(path):
                if not os.listdir(path):
                    os.rmdir(path)
            elif os.path.relpath(path, folder) not in files or os.path.islink(path):
                os.unlink(path)


def ends_with_line(file: Any) -> bool:
    """Whether an open file ends with a complete line."""
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Replace a text file atomically."""
    write_bytes(path, text.encode("utf-8"), mode)


def write_bytes(path: str, data: bytes, mode: int = 0o644) -> None:
    """Replace a file atomically and durably; it never exists with wider permissions than `mode`."""
    if os.path.lexists(path + ".new"):
        os.unlink(path + ".new")
    with os.fdopen(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    sync(os.path.dirname(os.path.abspath(path)))


def make_folder(path: str) -> None:
    """Create a folder and its parents durably, where they are missing."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        make_folder(parent)
    if not os.path.isdir(path):
        os.makedirs(path, exist_ok=True)
        sync(parent)


def sync(path: str) -> None:
    """Flush a file or a folder to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def watch_outputs(folder: str, after: str, limit: int) -> Dict[str, int]:
    """The sizes in bytes of the files that `watch` wrote, by name: the first `limit` names behind `after`."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found: Dict[str, int] = {}
    for name in sorted(name for name in names if name > after and (name == ANSWERS or _is_picture(name))):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and len(found) < limit:
            found[name] = os.path.getsize(path)
    return found


def _is_picture(name: str) -> bool:
    """Whether a client accepts a name that a camera gave."""
    return name.endswith(".png") and name.isprintable() and name[0] != "." and name[1] != ":" and "\\" not in name
