"""The releases of a board, and the active one.

<folder>/releases/<id>/   complete, verified releases, each with its manifest.json
<folder>/incoming/<id>/   a release being copied; its complete files are kept for the next attempt
<folder>/current          link to the active release, replaced atomically
<folder>/previous         link to the release before it
<folder>/journal.jsonl    events with their times
<folder>/probation.json   the release under probation (watchdog.py)
<folder>/lock             held during changes
"""

import errno
import fcntl
import json
import os
import re
import shutil
import time
from typing import Any, Dict, List, Optional

from .failure import CORRUPT, REFUSED, TRANSIENT, USER, Failure
from .files import PART, ends_with_line, link_twin, remove_strangers, settle_files, sync, write

WATCHDOG = "watchdog"  # the cause of a rollback by the board itself
LIVE_IMAGES = 8  # live images that a new release must answer before it is trusted
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


class Releases:
    """The releases below `root`, an absolute path."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._lock: Optional[int] = None

    def path(self, *parts: str) -> str:
        """A path under the root."""
        return os.path.join(self.root, *parts)

    def state(self) -> Dict[str, Any]:
        """The active release, the previous one, and all complete releases."""
        present = []
        if os.path.isdir(self.path("releases")):
            present = sorted(
                name
                for name in os.listdir(self.path("releases"))
                if os.path.exists(self.path("releases", name, "manifest.json"))
            )
        active, previous = self._linked("current"), self._linked("previous")
        return {
            "active": active if active in present else None,
            "previous": previous if previous in present and previous != active else None,
            "releases": present,
        }

    def lock(self, seconds: float, owner: str) -> None:
        """Take the lock of this board until the process ends."""
        os.makedirs(self.root, exist_ok=True)
        descriptor = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() >= deadline:
                holder = os.read(descriptor, 200).decode("utf-8", "replace")
                os.close(descriptor)
                raise Failure(
                    TRANSIENT, "another deployment is running on this board: " + holder, "try again when it is done"
                )
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, owner.encode())
        self._lock = descriptor

    def receiving(self, seconds: float) -> bool:
        """Whether a file from a client grew within the last `seconds`."""
        since = time.time() - seconds
        for place in ("incoming", "work"):
            for folder, _, names in os.walk(self.path(place)):
                if any(os.stat(os.path.join(folder, name)).st_mtime > since for name in names):
                    return True
        return False

    def let_go(self) -> None:
        """In a forked child: close the lock, which belongs to the parent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def plan(self, release: str, files: Dict[str, Dict[str, Any]]) -> Dict[str, Any]:
        """Find the missing files of a release; complete ones are kept, equal ones of other releases are linked.

        Args:
            release: the id.
            files: path in the release to `{"sha256": …, "size": …}`.
        """
        _check_names(release, files)
        self._check_lock()
        folder = self.path("releases", release)
        if not os.path.isdir(folder):
            folder = self.path("incoming", release)
        os.makedirs(folder, exist_ok=True)
        twins = self._by_digest(release)
        missing = []
        for name in settle_files(folder, files):
            target = os.path.join(folder, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not link_twin(twins.get(files[name]["sha256"]), target, files[name]["sha256"]):
                missing.append(name)
        return {"folder": folder, "missing": missing, "part": PART}

    def settle(self, release: str, files: Dict[str, Dict[str, Any]]) -> None:
        """Verify the copied files, rename them, and move the complete release to its place."""
        _check_names(release, files)
        self._check_lock()
        staged = self.path("incoming", release)
        final = self.path("releases", release)
        folder = final if os.path.isdir(final) else staged
        broken = settle_files(folder, files)
        if broken:
            message = f"{', '.join(map(repr, broken))} did not arrive completely"
            raise Failure(CORRUPT, message, "deploy again", files=broken)
        if folder == staged:
            remove_strangers(folder, files)
        write(os.path.join(folder, "manifest.json"), json.dumps(files, indent=1, sort_keys=True))
        for parent, _, _ in os.walk(folder):
            sync(parent)
        if folder == staged:
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.rename(staged, final)
            sync(os.path.dirname(final))
            sync(self.root)

    def switch(self, release: str, smoke: Dict[str, Any]) -> None:
        """Activate a release. A power cut leaves the old or the new one active, never none."""
        self._check_lock()
        state = self.state()
        if release not in state["releases"]:
            raise Failure(REFUSED, "the board has no release " + release)
        if state["active"] != release:
            if state["active"] is not None:
                self.set_probation(release, LIVE_IMAGES)
                self._link("previous", state["active"])
            self._link("current", release)
        self.note("switch", release, smoke=smoke)

    def rollback(self, reason: str, cause: str) -> Dict[str, Any]:
        """Activate the previous release; the one that was active becomes the previous one.

        Args:
            reason: for people.
            cause: WATCHDOG, or one of the client's `RollbackCause`.
        """
        self._check_lock()
        state = self.state()
        if state["previous"] is None:
            raise Failure(REFUSED, "the board has no previous release", "install one")
        self.set_probation(state["previous"], 0)
        self._link("current", state["previous"])  # first, so that after a power cut the wanted one is active
        if state["active"] is not None:
            self._link("previous", state["active"])
        self.note("rollback", state["previous"], reason=reason, cause=cause)
        return self.state()

    def probation(self) -> int:
        """Live images that the active release must still answer before it is trusted; 0 when it is trusted."""
        return int(self._probation().get("images", 0))

    def deaths(self) -> int:
        """Programs of the active release in a row that ended abnormally while they answered live images."""
        return int(self._probation().get("deaths", 0))

    def set_probation(self, release: str, images: int, deaths: int = 0) -> None:
        """Record the live images that a release must still answer, and the abnormal ends of its program."""
        write(self.path("probation.json"), json.dumps({"release": release, "images": images, "deaths": deaths}))

    def _probation(self) -> Dict[str, Any]:
        try:
            with open(self.path("probation.json"), encoding="utf-8") as file:
                said: Dict[str, Any] = json.load(file)
        except FileNotFoundError:
            return {}
        return said if said["release"] == self.state()["active"] else {}

    def prune(self, keep: int) -> List[str]:
        """Remove incomplete releases and all but the newest `keep`; never the active or the previous one."""
        self._check_lock()
        state = self.state()
        held = {state["active"], state["previous"]}
        age = {name: os.stat(self.path("releases", name, "manifest.json")).st_mtime for name in state["releases"]}
        newest = sorted(age, key=lambda name: (age[name], name), reverse=True)
        doomed = [name for name in newest[keep:] if name not in held]
        for name in doomed:
            # The manifest is removed first: a half-removed release must not count as one.
            os.unlink(self.path("releases", name, "manifest.json"))
            shutil.rmtree(self.path("releases", name))
            self.note("prune", name)
        for leftover in ("incoming", "work"):
            shutil.rmtree(self.path(leftover), ignore_errors=True)
        return doomed

    def note(self, event: str, release: str, **details: Any) -> None:
        """Add a line to the journal."""
        entry = dict(details, event=event, release=release, time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        with open(self.path("journal.jsonl"), "ab+") as file:
            torn = file.tell() > 0 and not ends_with_line(file)
            file.write((b"\n" if torn else b"") + json.dumps(entry, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def journal(self) -> List[Dict[str, Any]]:
        """All entries, oldest first; a line that a power cut left incomplete is ignored."""
        entries = []
        if os.path.exists(self.path("journal.jsonl")):
            with open(self.path("journal.jsonl"), "rb") as file:
                for line in file:
                    try:
                        entries.append(json.loads(line.decode()))
                    except ValueError:
                        continue
        return entries

    def last_smoke(self, release: str) -> Optional[Dict[str, Any]]:
        """The smoke test of a release when it was activated last; None when the journal has none."""
        for entry in reversed(self.journal()):
            if entry["event"] == "switch" and entry["release"] == release:
                return entry["smoke"]  # type: ignore[no-any-return]
        return None

    def _check_lock(self) -> None:
        if self._lock is None:
            raise Failure(REFUSED, "the board's lock is not held")

    def _linked(self, name: str) -> Optional[str]:
        try:
            return os.path.basename(os.readlink(self.path(name)))
        except OSError:
            return None

    def _link(self, name: str, release: str) -> None:
        temporary = self.path(name + ".new")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(os.path.join("releases", release), temporary)
        os.replace(temporary, self.path(name))
        sync(self.root)

    def _by_digest(self, release: str) -> Dict[str, str]:
        found = {}
        for other in self.state()["releases"]:
            if other != release:
                with open(self.path("releases", other, "manifest.json"), encoding="utf-8") as file:
                    for name, entry in json.load(file).items():
                        found[entry["sha256"]] = self.path("releases", other, name)
        return found


def _check_names(release: str, files: Dict[str, Any]) -> None:
    if not IDENTIFIER.fullmatch(release):
        raise Failure(USER, f"'{release}' cannot name a release", "use letters, digits and -")
    for name in files:
        parts = name.split("/")
        if (
            name.startswith("/")
            or "\\" in name
            or any(part in ("", ".", "..") for part in parts)
            or name == "manifest.json"
        ):
            raise Failure(USER, f"'{name}' cannot be a file of a release")
