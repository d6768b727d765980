"""Files of a release on the board: digests, whole or not at all."""

import hashlib
import os
import shutil
from typing import Any, Dict, Optional

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
    """Take over an equal file of another release, whose bytes are checked again."""
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


def settle_file(target: str, sha256: str) -> bool:
    """Whether a file is what it should be; one that has just arrived gets its name, or is removed."""
    part = target + PART
    if os.path.exists(part):
        if digest(part) == sha256:
            os.chmod(part, 0o644)
            sync(part)
            os.replace(part, target)
        else:
            os.unlink(part)
    return digest(target) == sha256


def remove_strangers(folder: str, files: Dict[str, Any]) -> None:
    """Remove what does not belong to a release."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.relpath(path, folder) not in files:
                os.unlink(path)


def ends_with_line(file: Any) -> bool:
    """Whether the last line of an open file is whole."""
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def write(path: str, text: str) -> None:
    """Replace a text file atomically."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def sync(path: str) -> None:
    """Flush a file or a folder to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
