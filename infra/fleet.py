"""What an installation knows of its fleet: which release each board shall run, those releases, and past rollouts.

<home>/fleet/wanted.jsonl          which release each board shall run; the last line of a board counts
<home>/fleet/releases/<id>/        the releases, so that a board can be put right without the chain that made them
<home>/fleet/rollouts/<id>.jsonl   what was planned and what happened, a line an event
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.board.release_folder import releases_in
from infra.errors import Corrupt, Refused, UserError
from infra.ports.release import Release
from infra.ports.values import LocalFile
from infra.store.artifacts import folder_files
from infra.store.atomic import sync, write_text
from infra.store.digests import file_digest
from infra.store.locks import hold

KEPT_ROLLOUTS = 20


class Log:
    """Events, a JSON line each. What a cut tore off at the end never happened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, *events: Mapping[str, Any], durable: bool = True) -> None:
        """Add events; those that are not durable outlive this process, and a power cut only after the next `flush`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = b"".join(json.dumps(event, sort_keys=True).encode() + b"\n" for event in events)
        with hold(self.path.with_suffix(".lock")), self.path.open("ab+") as file:
            if file.tell() and not _ends_with_line(file):
                data = b"\n" + data
            file.write(data)
        if durable:
            self.flush()

    def flush(self) -> None:
        """What was added is on the disk now."""
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
        self._wanted = Log(self.folder / "wanted.jsonl")

    def wanted(self) -> dict[str, str]:
        """Board to the id of the release that it shall run."""
        return {event["board"]: event["release"] for event in self._wanted.events()}

    def want(self, release: str, *boards: str) -> None:
        """Boards shall run a release from now on."""
        if boards:
            self._wanted.append(*({"board": board, "release": release, "time": time.time()} for board in boards))

    def forget_history(self) -> None:
        """Leave one line a board, and the releases that a board shall run or a kept rollout was about."""
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
        """Keep the releases of a folder; returns them by chip, as they are kept.

        Raises:
            UserError: there is no release in it.
            Corrupt: a file is not what its digest says.
        """
        identifier = next(iter(releases_in(files, where).values())).id
        final = self.folder / "releases" / identifier
        with hold(self.folder / "releases.lock"):
            if not final.exists():
                staged = final.with_name(f".{identifier}.new")
                shutil.rmtree(staged, ignore_errors=True)
                for name, file in files.items():
                    _copy(file, staged / name)
                for path in (staged, *staged.rglob("*")):
                    sync(path)
                staged.rename(final)
                sync(final.parent)
        return self.release(identifier)

    def release(self, identifier: str) -> dict[str, Release]:
        """A kept release by chip.

        Raises:
            UserError: it is not kept.
        """
        folder = self.folder / "releases" / identifier
        if not folder.is_dir():
            raise UserError(f"release {identifier} is not kept here", hint="roll it out again with --release")
        return releases_in(folder_files(folder)[1], str(folder))

    def rollouts(self) -> list[str]:
        """Ids of the rollouts, oldest first."""
        return sorted(path.stem for path in (self.folder / "rollouts").glob("*.jsonl"))

    def rollout(self, identifier: str) -> Log:
        """The log of a rollout."""
        return Log(self.folder / "rollouts" / f"{identifier}.jsonl")

    @contextmanager
    def carrying_out(self) -> Iterator[None]:
        """One rollout at a time.

        Raises:
            Refused: another process is at it.
        """

        def busy() -> None:
            raise Refused("another rollout is under way here", hint="wait for its end, or stop that process")

        with hold(self.folder / "rollout.lock", busy):
            yield


def _ends_with_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _copy(file: LocalFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file.path, target)
    if file_digest(target) != file.sha256:
        raise Corrupt(
            f"{file.path} is not what its digest says", hint="`atlasflow verify --deep` tells what is damaged"
        )
    sync(target)
