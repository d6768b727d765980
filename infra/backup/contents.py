"""The contents of a backup: everything in a home that is lost or expensive to make again.

Data of stand-ins, caches, scratch files, locks, logs, process ids and links are left out; secrets are optional.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from infra.names import is_safe_name

MANIFEST = "manifest.json"
REGISTRY, FLEET_FILE, RELEASES = "registry.json", "boards.toml", "fleet/releases"
TRACKING = "tracking"
# In the order of writing: a file that refers to others comes before them; receipts and their artifacts follow.
STATE = (
    REGISTRY,
    FLEET_FILE,
    "fleet",
    "runs",
    "proofs.json",
    "modelarts",
    "notify",
    "tuning",
    TRACKING,
    "aside",
    "trust",
    "prefect/prefect.db",
)
ARTIFACTS = ("receipts", "objects", "trees")
SECRETS = ("secrets", "services/*.secret")
_TOP_LEVEL = {PurePosixPath(name).parts[0] for name in (*STATE, *ARTIFACTS, *SECRETS)}
_SQLITE_SUFFIXES = ("-wal", "-shm", "-journal")
_SQLITE = b"SQLite format 3\x00"


def belongs(name: str) -> bool:
    """True for a path, relative to a home, that a backup may contain."""
    return is_safe_name(name) and name.partition("/")[0] in _TOP_LEVEL


def files_of(home: Path, place: str) -> Iterator[Path]:
    """Yield the files of a file or folder of a home that a backup contains."""
    start = home / place
    for path in [start] if start.is_file() else sorted(start.rglob("*")):
        if path.is_file() and not path.is_symlink() and not _is_temporary(path):
            yield path


def is_sqlite(path: Path) -> bool:
    """True for an SQLite database, which other processes may write to at any time."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _is_temporary(path: Path) -> bool:
    """True for half-written files, locks, and the files that SQLite keeps next to a database."""
    name = path.name
    of_sqlite = any(name.endswith(end) for end in _SQLITE_SUFFIXES)
    return name.lower().endswith("lock") or (name.startswith(".") and name.endswith(".tmp")) or of_sqlite
