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

import hashlib
import os
import shutil
import time
from typing import Any, Dict, List, Optional

from .failure import CORRUPT, REFUSED, Failure
from .files import PART, digest, link_twin, make_folder, remove_strangers, settle_files, sync, write, write_bytes
from .folders import Folders, identifier_of
from .journal import Journal
from .lock import Lock
from .manifest import MANIFEST, Manifest
from .probation import LIVE_IMAGES, Probation
from .trust import Trust
from .work import clear

WATCHDOG = "watchdog"  # the cause of a rollback by the board itself
START = "start"  # the program of `start.py` and what it imports, as one zip archive that Python runs


class Releases:
    """The releases below `root`, an absolute path."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.trust = Trust(root)
        self.folders = Folders(root)
        self.journal = Journal(self.path("journal.jsonl"))
        self.probation = Probation(self.path("probation.json"))
        self.held = Lock(self.path("lock"))
        self._planned: Optional[Manifest] = None

    def path(self, *parts: str) -> str:
        """A path under the root."""
        return os.path.join(self.root, *parts)

    def state(self) -> Dict[str, Any]:
        """The active release, the previous one, and all complete releases."""
        present = sorted({identifier_of(name) for name in self.folders.names()})
        active, previous = self.folders.linked("current"), self.folders.linked("previous")
        return {
            "active": active if active in present else None,
            "previous": previous if previous in present and previous != active else None,
            "releases": present,
            "floor": self.trust.floor().counter,
        }

    def check(self, release: str) -> Manifest:
        """Verify every byte of a release, and that this board may run it.

        Raises:
            Failure: it must not run.
        """
        return self.trust.check_release(self.folders.newest(release))

    def verified_folder(self, release: str) -> str:
        """The folder of a release, after a check of every byte: the planned one's new folder, which is not in service.

        Raises:
            Failure: it must not run.
        """
        if self._planned is None or self._planned.release != release:
            folder: Optional[str] = self.folders.newest(release)
            self.trust.check_release(str(folder))
        else:
            folder = self._installed(self._planned)
        if folder is None:
            raise Failure(REFUSED, "the board has no release " + release, "deploy it")
        return folder

    def lock(self, seconds: float, owner: str) -> None:
        """Take the lock of this board until the process ends."""
        make_folder(self.path("releases"))
        for folder in (self.root, self.path("releases")):
            if os.stat(folder).st_mode & 0o022:  # of a version that left this to the umask
                os.chmod(folder, 0o755)  # noqa: S103 - readable by all, written by this user
        self.held.take(seconds, owner)

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

    def plan(self, manifest: bytes, *, downgrade: bool = False) -> Dict[str, Any]:
        """Verify a manifest, and find the files that are missing; equal ones of other releases are linked.

        Args:
            manifest: the signed envelope.
            downgrade: accept a release that is older than the floor; the journal records it.

        Raises:
            Failure: this board must not run the release.
        """
        self.held.check()
        planned = self.trust.check_manifest(manifest, downgrade=downgrade)
        if downgrade and planned.counter < self.trust.floor().counter:
            self.trust.allow_downgrade(planned)
            self.journal.note("downgrade", planned.release, counter=planned.counter, floor=self.trust.floor().counter)
        self._planned = planned
        folder = self._installed(planned)
        if folder is not None:
            active = self.folders.target("current") == os.path.basename(folder)
            return {"folder": folder, "missing": [], "part": PART, "active": active}
        folder = self.path("incoming", planned.release)
        os.makedirs(folder, exist_ok=True)
        twins = self.folders.by_digest()
        missing = []
        for name in settle_files(folder, planned.files):
            target = os.path.join(folder, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not link_twin(twins.get(planned.files[name]["sha256"]), target, planned.files[name]["sha256"]):
                missing.append(name)
        return {"folder": folder, "missing": missing, "part": PART, "active": False}

    def settle(self) -> None:
        """Verify the files of the planned release, and move it, complete, to its place."""
        self.held.check()
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
        os.rename(folder, self.folders.free(planned.release))
        sync(self.path("releases"))
        sync(self.root)

    def switch(self, smoke: Dict[str, Any]) -> None:
        """Activate the planned release. A power cut leaves the old or the new one active, never none."""
        self.held.check()
        planned = self.planned()
        folder = self._installed(planned)
        if folder is None:
            raise Failure(REFUSED, "the board has no release " + planned.release)
        self.trust.check_release(folder)
        state = self.state()
        back = state["previous"] if state["active"] == planned.release else state["active"]
        self.trust.raise_floor(planned, self._fallback(back))
        if state["active"] != planned.release and state["active"] is not None:
            self.probation.record(planned.release, LIVE_IMAGES)
            self.folders.link("previous", str(self.folders.target("current")))
        if self.folders.target("current") != os.path.basename(folder):
            self.folders.link("current", os.path.basename(folder))
        self.journal.note("switch", planned.release, smoke=smoke)

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
        for name in self.folders.of(planned.release):
            folder = self.folders.path(name)
            try:
                if self.trust.check_release(folder).envelope == planned.envelope:
                    return folder
            except Failure:  # damaged, or signed otherwise: it is staged anew
                continue
        return None

    def _fallback(self, release: Optional[str]) -> Optional[Manifest]:
        """The manifest of a release to fall back to; None when this board must not run it."""
        if release is None:
            return None
        try:
            return self.check(release)
        except Failure as failure:
            self.journal.note("refused", release, reason=failure.message)
            return None

    def rollback(self, reason: str, cause: str) -> Dict[str, Any]:
        """Activate the previous release; the one that was active becomes the previous one.

        Args:
            reason: for people.
            cause: WATCHDOG, or one of the client's `RollbackCause`.
        """
        self.held.check()
        state = self.state()
        if state["previous"] is None:
            raise Failure(REFUSED, "the board has no previous release", "install one")
        self.check(state["previous"])
        current, previous = self.folders.target("current"), self.folders.target("previous")
        self.probation.record(state["previous"], 0)
        self.folders.link("current", str(previous))  # first, so that after a power cut the wanted one is active
        if state["active"] is not None:
            self.folders.link("previous", str(current))
        self.journal.note("rollback", state["previous"], reason=reason, cause=cause)
        return self.state()

    def prune(self, keep: int) -> List[str]:
        """Remove incomplete releases and all but the newest `keep`; never the active or the previous one."""
        self.held.check()
        state = self.state()
        links = {self.folders.target("current"), self.folders.target("previous")}
        held = {state["active"], state["previous"]}
        age = self.folders.changed()
        newest = sorted(age, key=lambda name: (age[name], name), reverse=True)
        doomed = [name for name in newest[keep:] if name not in held]
        for name in self.folders.names():
            release = identifier_of(name)
            if release in doomed or (release in held and name not in links):
                self.folders.remove(name)
        for release in doomed:
            self.journal.note("prune", release)
        self.remove_leftovers()
        return doomed

    def remove_leftovers(self) -> None:
        """Remove what ended or interrupted commands left: incomplete releases and the folders of their pictures."""
        self.held.check()
        shutil.rmtree(self.path("incoming"), ignore_errors=True)
        clear(self.path("work"))
