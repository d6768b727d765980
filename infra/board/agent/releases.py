"""The releases of a board, and the active one.

<folder>/releases/<id>/   complete, verified releases, each with its signed manifest.json; a release in service is never
                          written to: one that is repaired or signed again lies beside it, in <id>~1, <id>~2, …
<folder>/incoming/<id>/   a release being copied; its complete files are kept for the next attempt
<folder>/trust/           keyring and floor (trust.py)
<folder>/current          link to the active release, replaced atomically
<folder>/previous         link to the release before it
<folder>/journal.jsonl    events with their times
<folder>/probation.json   the release under probation (watchdog.py)
<folder>/lock             held during changes
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from typing import Any, Dict, List, Optional

from .failure import CORRUPT, REFUSED, TRANSIENT, Failure
from .files import (
    PART,
    digest,
    ends_with_line,
    link_twin,
    make_folder,
    remove_strangers,
    settle_files,
    sync,
    write,
    write_bytes,
)
from .manifest import MANIFEST, Manifest
from .manifest import read as read_manifest
from .trust import Trust

WATCHDOG = "watchdog"  # the cause of a rollback by the board itself
LIVE_IMAGES = 8  # live images that a new release must answer before it is trusted
START = "start"  # the program of `start.py` and what it imports, as one zip archive that Python runs
VARIANT = "~"  # between the id of a release and the number of its folder


class Releases:
    """The releases below `root`, an absolute path."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.trust = Trust(root)
        self._lock: Optional[int] = None
        self._planned: Optional[Manifest] = None

    def path(self, *parts: str) -> str:
        """A path under the root."""
        return os.path.join(self.root, *parts)

    def state(self) -> Dict[str, Any]:
        """The active release, the previous one, and all complete releases."""
        present = sorted({identifier_of(name) for name in self._folders()})
        active, previous = self._linked("current"), self._linked("previous")
        return {
            "active": active if active in present else None,
            "previous": previous if previous in present and previous != active else None,
            "releases": present,
            "floor": self.trust.floor().counter,
        }

    def folder(self, release: str) -> str:
        """The folder of a complete release: the one that a link leads to, else the newest.

        Raises:
            Failure: there is none.
        """
        names = [name for name in self._folders() if identifier_of(name) == release]
        for link in ("current", "previous"):
            linked = self._target(link)
            if linked in names:
                return self.path("releases", linked)
        if not names:
            raise Failure(REFUSED, "the board has no release " + release, "deploy it")
        return self.path("releases", max(names, key=_variant))

    def check(self, release: str) -> Manifest:
        """Verify every byte of a release, and that this board may run it.

        Raises:
            Failure: it must not run.
        """
        return self.trust.check_release(self.folder(release))

    def verified_folder(self, release: str) -> str:
        """The folder of a release, after a check of every byte: the planned one's new folder, which is not in service.

        Raises:
            Failure: it must not run.
        """
        if self._planned is None or self._planned.release != release:
            folder: Optional[str] = self.folder(release)
            self.trust.check_release(str(folder))
        else:
            folder = self._installed(self._planned)
        if folder is None:
            raise Failure(REFUSED, "the board has no release " + release, "deploy it")
        return folder

    def _folders(self) -> List[str]:
        """The names of the folders of complete releases."""
        try:
            names = os.listdir(self.path("releases"))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in names if os.path.exists(self.path("releases", name, MANIFEST))]

    def lock(self, seconds: float, owner: str) -> None:
        """Take the lock of this board until the process ends."""
        make_folder(self.path("releases"))
        for folder in (self.root, self.path("releases")):
            if os.stat(folder).st_mode & 0o022:  # of a version that left this to the umask
                os.chmod(folder, 0o755)  # noqa: S103 - readable by all, written by this user
        descriptor = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
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

    def equip(self, program: bytes) -> None:
        """Store the program that verifies a release and starts it, if it differs from the present one."""
        if digest(self.path(START)) != hashlib.sha256(program).hexdigest():
            write_bytes(self.path(START), program, 0o755)

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

    def plan(self, manifest: bytes, *, downgrade: bool = False) -> Dict[str, Any]:
        """Verify a manifest, and find the files that are missing; equal ones of other releases are linked.

        Args:
            manifest: the signed envelope.
            downgrade: accept a release that is older than the floor; the journal records it.

        Raises:
            Failure: this board must not run the release.
        """
        self._check_lock()
        planned = self.trust.check_manifest(manifest, downgrade=downgrade)
        if downgrade and planned.counter < self.trust.floor().counter:
            self.trust.allow_downgrade(planned)
            self.note("downgrade", planned.release, counter=planned.counter, floor=self.trust.floor().counter)
        self._planned = planned
        folder = self._installed(planned)
        if folder is not None:
            active = self._target("current") == os.path.basename(folder)
            return {"folder": folder, "missing": [], "part": PART, "active": active}
        folder = self.path("incoming", planned.release)
        os.makedirs(folder, exist_ok=True)
        twins = self._by_digest()
        missing = []
        for name in settle_files(folder, planned.files):
            target = os.path.join(folder, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not link_twin(twins.get(planned.files[name]["sha256"]), target, planned.files[name]["sha256"]):
                missing.append(name)
        return {"folder": folder, "missing": missing, "part": PART, "active": False}

    def settle(self) -> None:
        """Verify the files of the planned release, and move it, complete, to its place."""
        self._check_lock()
        planned = self.planned()
        if self._installed(planned) is not None:
            return
        folder = self.path("incoming", planned.release)
        broken = settle_files(folder, planned.files)
        if broken:
            message = f"{', '.join(map(repr, broken))} did not arrive completely"
            raise Failure(CORRUPT, message, "deploy again", files=broken)
        remove_strangers(folder, planned.files)
        write(os.path.join(folder, MANIFEST), planned.envelope.decode())
        for parent, _, _ in os.walk(folder):
            os.chmod(parent, 0o755)  # noqa: S103 - readable by all, written by this user
            sync(parent)
        self.trust.check_release(folder)
        os.rename(folder, self._free_folder(planned.release))
        sync(self.path("releases"))
        sync(self.root)

    def switch(self, smoke: Dict[str, Any]) -> None:
        """Activate the planned release. A power cut leaves the old or the new one active, never none."""
        self._check_lock()
        planned = self.planned()
        folder = self._installed(planned)
        if folder is None:
            raise Failure(REFUSED, "the board has no release " + planned.release)
        self.trust.check_release(folder)
        state = self.state()
        back = state["previous"] if state["active"] == planned.release else state["active"]
        self.trust.raise_floor(planned, self._fallback(back))
        if state["active"] != planned.release and state["active"] is not None:
            self.set_probation(planned.release, LIVE_IMAGES)
            self._link("previous", str(self._target("current")))
        if self._target("current") != os.path.basename(folder):
            self._link("current", os.path.basename(folder))
        self.note("switch", planned.release, smoke=smoke)

    def planned(self) -> Manifest:
        """The manifest of the planned release.

        Raises:
            Failure: none was planned.
        """
        if self._planned is None:
            raise Failure(REFUSED, "no release was planned")
        return self._planned

    def _installed(self, planned: Manifest) -> Optional[str]:
        """The folder that holds a release complete and signed like this; None without one."""
        names = [name for name in self._folders() if identifier_of(name) == planned.release]
        for name in sorted(names, key=lambda name: (name != self._target("current"), _variant(name))):
            folder = self.path("releases", name)
            try:
                if self.trust.check_release(folder).envelope == planned.envelope:
                    return folder
            except Failure:  # damaged, or signed otherwise: it is staged anew
                continue
        return None

    def _free_folder(self, release: str) -> str:
        """The path of a folder for a release that does not exist yet."""
        taken = [_variant(name) for name in os.listdir(self.path("releases")) if identifier_of(name) == release]
        return self.path("releases", f"{release}{VARIANT}{max(taken) + 1}" if taken else release)

    def _fallback(self, release: Optional[str]) -> Optional[Manifest]:
        """The manifest of a release to fall back to; None when this board must not run it."""
        if release is None:
            return None
        try:
            return self.check(release)
        except Failure as failure:
            self.note("refused", release, reason=failure.message)
            return None

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
        self.check(state["previous"])
        current, previous = self._target("current"), self._target("previous")
        self.set_probation(state["previous"], 0)
        self._link("current", str(previous))  # first, so that after a power cut the wanted one is active
        if state["active"] is not None:
            self._link("previous", str(current))
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
        links = {self._target("current"), self._target("previous")}
        held = {state["active"], state["previous"]}
        age: Dict[str, float] = {}
        for name in self._folders():
            changed = os.stat(self.path("releases", name, MANIFEST)).st_mtime
            age[identifier_of(name)] = max(changed, age.get(identifier_of(name), 0))
        newest = sorted(age, key=lambda name: (age[name], name), reverse=True)
        doomed = [name for name in newest[keep:] if name not in held]
        for name in self._folders():
            release = identifier_of(name)
            if release in doomed or (release in held and name not in links):
                # The manifest is removed first: a half-removed release must not count as one.
                os.unlink(self.path("releases", name, MANIFEST))
                shutil.rmtree(self.path("releases", name))
        for release in doomed:
            self.note("prune", release)
        self.remove_leftovers()
        return doomed

    def remove_leftovers(self) -> None:
        """Remove what ended or interrupted commands left: incomplete releases and the folders of their pictures."""
        self._check_lock()
        for leftover in ("incoming", "work"):
            shutil.rmtree(self.path(leftover), ignore_errors=True)

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

    def _target(self, name: str) -> Optional[str]:
        """The name of the folder that a link leads to."""
        try:
            return os.path.basename(os.readlink(self.path(name)))
        except OSError:
            return None

    def _linked(self, name: str) -> Optional[str]:
        target = self._target(name)
        return None if target is None else identifier_of(target)

    def _link(self, name: str, folder: str) -> None:
        temporary = self.path(name + ".new")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(os.path.join("releases", folder), temporary)
        os.replace(temporary, self.path(name))
        sync(self.root)

    def _by_digest(self) -> Dict[str, str]:
        found = {}
        for name in self._folders():
            folder = self.path("releases", name)
            try:
                files = read_manifest(folder).files
            except Failure:  # of a version before signatures: its files are sent again
                continue
            for path, entry in files.items():
                found[entry["sha256"]] = os.path.join(folder, path)
        return found


def identifier_of(folder: str) -> str:
    """The id of the release in a folder with this name."""
    return folder.partition(VARIANT)[0]


def _variant(folder: str) -> int:
    number = folder.partition(VARIANT)[2]
    return int(number) if number.isdigit() else 0
