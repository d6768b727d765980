"""The content-addressed store: read-only files named by their SHA-256, and folders as manifests of such files."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from infra.errors import Corrupt
from infra.faults import NO_FAULTS, FaultPlan
from infra.ports.values import LocalFile
from infra.store.atomic import replacing, write_text
from infra.store.digests import canonical, file_digest, text_digest
from infra.store.local_files import describe
from infra.store.stat_cache import StatCache

Kind = Literal["file", "tree"]
TREE = "application/x-atlasflow-tree+json"


@dataclass(frozen=True)
class Artifact:
    """A file or a tree with a digest; a tree has the digest of its manifest and the size of all its files."""

    name: str
    sha256: str
    size: int
    kind: Kind
    media_type: str

    def to_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)


class ArtifactStore:
    """Files in `home/objects/ab/cdef…`, manifests in `home/trees/ab/cdef….json`."""

    def __init__(self, home: Path, faults: FaultPlan = NO_FAULTS) -> None:
        self.home = home
        self._faults = faults
        self._cache = StatCache(home / "statcache.json")

    def object_path(self, sha256: str) -> Path:
        """Return the path of a file with this digest, which need not exist."""
        return self.home / "objects" / sha256[:2] / sha256[2:]

    def tree_path(self, sha256: str) -> Path:
        """Return the path of the manifest with this digest, which need not exist."""
        return self.home / "trees" / sha256[:2] / f"{sha256[2:]}.json"

    def put_file(self, name: str, source: Path, media_type: str) -> Artifact:
        """Copy a file into the store.

        Raises:
            Corrupt: the copy has another digest than its source.
        """
        digest = file_digest(source)
        size = source.stat().st_size
        target = self.object_path(digest)
        if not self._sound(target, digest):
            with replacing(target, mode=0o444, faults=self._faults, point="object") as temporary:
                shutil.copyfile(source, temporary)
                if file_digest(temporary) != digest:
                    raise Corrupt(f"{source} changed while it was copied, or the disk altered it", hint="run again")
        return Artifact(name, digest, size, "file", media_type)

    def put_tree(self, name: str, folder: Path) -> Artifact:
        """Copy all files below a folder into the store and write their manifest."""
        digest, files = folder_files(folder)
        for relative, file in files.items():
            self.put_file(relative, file.path, "application/octet-stream")
        target = self.tree_path(digest)
        if not self._sound(target, digest):
            write_text(target, _manifest(files), mode=0o444, faults=self._faults, point="tree")
        return Artifact(name, digest, sum(file.size for file in files.values()), "tree", TREE)

    def files(self, artifact: Artifact) -> dict[str, LocalFile]:
        """Return the files of an artifact by their path inside it; a file artifact has one, under its own name."""
        if artifact.kind == "file":
            return {artifact.name: LocalFile(self.object_path(artifact.sha256), artifact.sha256, artifact.size)}
        manifest = json.loads(self.tree_path(artifact.sha256).read_text())
        return {
            name: LocalFile(self.object_path(entry["sha256"]), entry["sha256"], entry["size"])
            for name, entry in manifest.items()
        }

    def path(self, artifact: Artifact) -> Path:
        """Return the path of a file artifact's bytes; it is read-only."""
        return self.object_path(artifact.sha256)

    def link_into(self, artifact: Artifact, folder: Path) -> Path:
        """Link an artifact's files into `folder` under their own names; return `folder`."""
        for name, file in self.files(artifact).items():
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            # Not a hard link: it would change the ctime of the object, which the stat cache compares.
            link.symlink_to(file.path)
        return folder

    def verify(self, artifact: Artifact, *, deep: bool = False) -> None:
        """Check every byte of an artifact against its digest; a damaged object stays until it is stored again.

        Raises:
            Corrupt: a file is missing or has changed.
        """
        if artifact.kind == "tree":
            self._check(self.tree_path(artifact.sha256), artifact.sha256, artifact.name, deep)
        for name, file in self.files(artifact).items():
            self._check(file.path, file.sha256, name, deep)

    def remember_checks(self) -> None:
        """Save the digests that `verify` computed for the next process."""
        self._cache.save()

    def describe(self, path: Path) -> LocalFile:
        """Return a file outside the store with its digest, which is not computed again while the file is unchanged."""
        return LocalFile(path, self._cache.digest(path), path.stat().st_size)

    def _check(self, path: Path, digest: str, name: str, deep: bool) -> None:
        try:
            found = self._cache.digest(path, deep=deep)
        except FileNotFoundError:
            raise Corrupt(f"{name} ({digest[:12]}) is missing from the store") from None
        if found != digest:
            raise Corrupt(f"{name} ({digest[:12]}) was changed on disk")

    def _sound(self, path: Path, digest: str) -> bool:
        return path.exists() and self._cache.digest(path) == digest


def folder_files(folder: Path, describe: Callable[[Path], LocalFile] = describe) -> tuple[str, dict[str, LocalFile]]:
    """Return the digest of a folder as a tree, and its files by path inside it, without Python's caches."""
    files = {
        path.relative_to(folder).as_posix(): describe(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return text_digest(_manifest(files)), files


def _manifest(files: Mapping[str, LocalFile]) -> str:
    return canonical({name: {"sha256": file.sha256, "size": file.size} for name, file in files.items()})
