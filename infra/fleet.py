"""The fleet of an installation: the release that each board should run, those releases, and past rollouts.

<home>/fleet/wanted.jsonl          the release that each board should run; the last line of a board counts
<home>/fleet/releases/<id>/        the releases, so that a board can be repaired without the chain that made them;
                                   a file that the artifact store holds is a hard link to it, which `gc` does not break
<home>/fleet/rollouts/<id>.jsonl   the plan of a rollout and its events, one a line
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.board.release_folder import DESCRIPTION, IDENTIFIER, MANIFEST, releases_in
from infra.errors import Corrupt, Refused, UserError
from infra.ports.release import Release
from infra.ports.values import LocalFile
from infra.store.artifacts import folder_files
from infra.store.atomic import make_folder, sync, write_bytes, write_text
from infra.store.digests import file_digest
from infra.store.locks import hold

KEPT_ROLLOUTS = 20


class Log:
    """A log of events, one JSON object a line. An event that a power cut left incomplete is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, *events: Mapping[str, Any], durable: bool = True) -> None:
        """Append events; without `durable`, they survive a power cut only after the next `flush`."""
        make_folder(self.path.parent)
        data = b"".join(json.dumps(event, sort_keys=True).encode() + b"\n" for event in events)
        with hold(self.path.with_suffix(".lock")), self.path.open("ab+") as file:
            is_new = not file.tell()
            if not is_new and not _ends_with_line(file):
                data = b"\n" + data
            file.write(data)
        if is_new:
            sync(self.path.parent)
        if durable:
            self.flush()

    def flush(self) -> None:
        """Write everything to the disk."""
        if self.path.exists():
            sync(self.path)

    def events(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        found = []
        for line in self.path.read_bytes().splitlines() if self.path.exists() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found


class Fleet:
    """The fleet of one AtlasFlow home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "fleet"
        self._objects = home / "objects"
        self._wanted = Log(self.folder / "wanted.jsonl")

    def wanted(self) -> dict[str, str]:
        """Board to the id of the release that it should run."""
        return {event["board"]: event["release"] for event in self._wanted.events()}

    def want(self, release: str, *boards: str) -> None:
        """Record that boards should run a release from now on."""
        if boards:
            self._wanted.append(*({"board": board, "release": release, "time": time.time()} for board in boards))

    def forget_history(self) -> None:
        """Keep one line a board, the last rollouts, and the releases that these name; remove the rest."""
        rollouts = self.rollouts()
        for identifier in rollouts[:-KEPT_ROLLOUTS]:
            self.rollout(identifier).path.unlink()
        with hold(self._wanted.path.with_suffix(".lock")):
            last = {event["board"]: event for event in self._wanted.events()}
            write_text(self._wanted.path, "".join(f"{json.dumps(event, sort_keys=True)}\n" for event in last.values()))
        needed = {event["release"] for event in last.values()}
        for identifier in rollouts[-KEPT_ROLLOUTS:]:
            needed |= {event["release"] for event in self.rollout(identifier).events()[:1]}
        kept = self.folder / "releases"
        for folder in kept.iterdir() if kept.exists() else ():
            if folder.name not in needed:
                shutil.rmtree(folder)

    def keep(self, files: Mapping[str, LocalFile], where: str) -> dict[str, Release]:
        """Keep the releases of a folder, and return them by chip.

        Raises:
            UserError: there is no release in it.
            Corrupt: a file does not have its digest.
        """
        identifier = next(iter(releases_in(files, where).values())).id
        final = self.folder / "releases" / identifier
        with hold(self.folder / "releases.lock"):
            if not final.exists():
                staged = final.with_name(f".{identifier}.new")
                shutil.rmtree(staged, ignore_errors=True)
                for name, file in files.items():
                    self._take(file, staged / name)
                for path in (staged, *staged.rglob("*")):
                    sync(path)
                staged.rename(final)
                sync(final.parent)
        kept = self.release(identifier)
        for chip, given in releases_in(files, where).items():
            if given.manifest and given.manifest != kept[chip].manifest:
                self.keep_manifest(given)
        return self.release(identifier)

    def keep_manifest(self, release: Release) -> None:
        """Replace the manifest of a kept release by one that was signed later."""
        kept = self.release(release.id)[release.soc_version]
        write_bytes(kept.files[DESCRIPTION].path.parent / MANIFEST, release.manifest)

    def release(self, identifier: str) -> dict[str, Release]:
        """A kept release by chip.

        Raises:
            UserError: it is not kept.
        """
        folder = self.folder / "releases" / identifier
        if not IDENTIFIER.fullmatch(identifier) or not folder.is_dir():
            raise UserError(f"release {identifier} is not kept here", hint="roll it out again with --release")
        return releases_in(folder_files(folder)[1], str(folder))

    def rollouts(self) -> list[str]:
        """Ids of the rollouts, oldest first; one whose plan was not written completely has never begun."""
        return sorted(path.stem for path in (self.folder / "rollouts").glob("*.jsonl") if Log(path).events())

    def rollout(self, identifier: str) -> Log:
        """The log of a rollout."""
        return Log(self.folder / "rollouts" / f"{identifier}.jsonl")

    @contextmanager
    def carrying_out(self) -> Iterator[None]:
        """Hold the lock of rollouts.

        Raises:
            Refused: another process holds it.
        """

        def busy() -> None:
            raise Refused("another rollout is under way here", hint="wait for its end, or stop that process")

        with hold(self.folder / "rollout.lock", busy):
            yield

    def _take(self, file: LocalFile, target: Path) -> None:
        """Link an object of the store, which never changes in place; copy any other file."""
        target.parent.mkdir(parents=True, exist_ok=True)
        linked = file.path.is_relative_to(self._objects) and _link(file.path, target)
        if not linked:
            shutil.copyfile(file.path, target)
        if file_digest(target) != file.sha256:
            raise Corrupt(f"{file.path} is not what its digest says", hint="run `atlasflow verify --deep`")
        sync(target)


def _ends_with_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links, or another one
        return False
    return True
