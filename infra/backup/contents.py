"""What belongs to the state of a home: what cannot be had again, or only at a price.

Not the data of stand-ins, nor caches, scratch space, locks, logs, process ids and links; secrets only when asked for.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from infra.names import is_safe_name

MANIFEST = "manifest.json"
REGISTRY, FLEET_FILE, RELEASES = "registry.json", "boards.toml", "fleet/releases"
TRACKING = "tracking"
# In this order: what refers comes before what it refers to; after these, receipts and then the artifacts they name.
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
    "prefect/prefect.db",
)
ARTIFACTS = ("receipts", "objects", "trees")
SECRETS = ("secrets", "services/*.secret")
_TOPS = {PurePosixPath(name).parts[0] for name in (*STATE, *ARTIFACTS, *SECRETS)}
_SQLITE_BESIDE = ("-wal", "-shm", "-journal")
_SQLITE = b"SQLite format 3\x00"


def belongs(name: str) -> bool:
    """True for a path, relative to a home, that a backup may hold."""
    return is_safe_name(name) and name.partition("/")[0] in _TOPS


def files_of(home: Path, place: str) -> Iterator[Path]:
    """The files of one place of a home, a file or a folder, that a backup holds."""
    start = home / place
    for path in [start] if start.is_file() else sorted(start.rglob("*")):
        if path.is_file() and not path.is_symlink() and not _passing(path):
            yield path


def is_sqlite(path: Path) -> bool:
    """True for a database of SQLite, which may be written to at any time."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _passing(path: Path) -> bool:
    """Half-written files, locks, and what SQLite keeps beside a database."""
    name = path.name
    beside = any(name.endswith(end) for end in _SQLITE_BESIDE)
    return name.lower().endswith("lock") or (name.startswith(".") and name.endswith(".tmp")) or beside
