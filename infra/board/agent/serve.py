"""The client's helper on the board: it reads JSON requests, one a line, and answers each, until standard input ends.

The client sends this module and its imports over standard input of a new Python, so that a board needs no release for
it. The process holds the board's lock, which therefore ends with the connection.
"""

import base64
import getpass
import json
import os
import signal
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence

from .facts import facts
from .failure import REFUSED, Failure
from .files import watch_outputs
from .fork import run_agent
from .observations import FILE as OBSERVATIONS
from .observations import read as read_observations
from .releases import Releases
from .unsure import FOLDER as UNSURE
from .unsure import forget, sizes
from .work import Work


class Server:
    """The operations for clients: all public methods except `run` and `answer`."""

    def __init__(self, root: str, idle_seconds: int) -> None:
        self.idle_seconds = idle_seconds
        self.releases = Releases(os.path.abspath(os.path.join(os.path.expanduser("~"), os.path.expanduser(root))))
        self.work = Work(self.releases.path("work"))

    def still_here(self) -> None:
        """Do nothing: a sign of life of the client."""

    def facts(self) -> Dict[str, object]:
        """The facts of the board."""
        return facts(self.releases.root)

    def state(self) -> Dict[str, Any]:
        """The releases of the board."""
        return self.releases.state()

    def last_smoke(self, release: str) -> Optional[Dict[str, Any]]:
        """The smoke test of a release when it was activated last; None when the journal has none."""
        return self.releases.journal.last_smoke(release)

    def lock(self, seconds: float, owner: str) -> None:
        """Take the lock."""
        self.releases.lock(seconds, f"{owner} as {getpass.getuser()}, process {os.getpid()}")

    def keyring(self, text: str) -> None:
        """Store the keyring of this board."""
        os.makedirs(self.releases.root, exist_ok=True)
        self.releases.trust.keep_keyring(text.encode())

    def equip(self, program: str) -> None:
        """Store the program that verifies and starts releases, if it differs."""
        self.releases.equip(base64.b64decode(program))

    def check(self, release: str) -> int:
        """Verify every byte of a release; returns its counter."""
        return self.releases.check(release).counter

    def plan(self, manifest: str, downgrade: bool) -> Dict[str, Any]:
        """Verify a manifest, and find the missing files of its release."""
        return self.releases.plan(manifest.encode(), downgrade=downgrade)

    def settle(self) -> None:
        """Verify the copied files."""
        self.releases.settle()

    def switch(self, smoke: Dict[str, Any]) -> None:
        """Activate the planned release."""
        self.releases.switch(smoke)

    def rollback(self, reason: str, cause: str) -> Dict[str, Any]:
        """Activate the previous release."""
        return self.releases.rollback(reason, cause)

    def prune(self, keep: int) -> List[str]:
        """Remove old releases."""
        return self.releases.prune(keep)

    def note(self, event: str, release: str, reason: str) -> None:
        """Append to the journal."""
        self.releases.journal.note(event, release, reason=reason)

    def status(self) -> Dict[str, Any]:
        """The releases, the probation of the active one, and the last events."""
        state = self.releases.state()
        left = self.releases.probation.of(state["active"]).images
        return dict(state, probation=left, journal=self.releases.journal.entries()[-20:])

    def outputs(self, after: str, limit: int) -> Dict[str, Any]:
        """The folder that `watch` writes to, and the sizes of its files: the first `limit` names behind `after`."""
        folder = self.releases.path("outputs")
        return {"folder": folder, "files": watch_outputs(folder, after, limit)}

    def unsure(self, after: str, limit: int) -> Dict[str, Any]:
        """The folder of the kept pictures, and the sizes of its files: the first `limit` names behind `after`."""
        folder = self.releases.path(UNSURE)
        return {"folder": folder, "files": sizes(folder, after, limit)}

    def forget_unsure(self, names: List[str]) -> int:
        """Remove kept pictures."""
        return forget(self.releases.path(UNSURE), names)

    def observations(self) -> Optional[Dict[str, Any]]:
        """The counts that `watch` wrote; None without any."""
        return read_observations(self.releases.path(OBSERVATIONS))

    def make_work(self, folders: Sequence[str] = ()) -> str:
        """Create a folder for pictures or a trial, with empty folders in it; it is removed with the connection."""
        return self.work.make(folders)

    def drop_work(self, folder: str) -> None:
        """Remove a folder of `make_work` now, because the end of the connection may kill this process."""
        self.work.drop(folder)

    def agent(self, release: str, arguments: List[str], seconds: float) -> Dict[str, Any]:
        """Verify a release and run its agent to the end; returns its JSON answer."""
        return run_agent(self.releases.verified_folder(release), arguments, seconds, self.releases.held.let_go)

    def trial(self, folder: str, arguments: List[str], seconds: float) -> Dict[str, Any]:
        """Run the agent that was sent into a folder of `make_work`."""
        if folder not in self.work:
            raise Failure(REFUSED, f"'{folder}' is not a folder of this connection")
        return run_agent(folder, arguments, seconds, self.releases.held.let_go)

    def run(self) -> None:
        """Serve until the connection ends or the client is silent for `idle_seconds`.

        An SSH server may keep a dead connection for hours, and with it the board's lock.
        """
        signal.signal(signal.SIGALRM, self._give_up)
        try:
            while True:
                signal.alarm(self.idle_seconds)
                line = sys.stdin.buffer.readline()
                signal.alarm(0)
                if not line:
                    break
                reply(self.answer(json.loads(line.decode())))
        finally:
            self.work.close()

    def answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Run one operation; a failure becomes an answer too."""
        operation: Callable[..., Any] = getattr(self, request.pop("do"))
        try:
            return {"ok": True, "value": operation(**request)}
        except Failure as failure:
            told = {"kind": failure.exit_code, "message": failure.message, "hint": failure.hint}
            return dict(told, ok=False, files=failure.files)
        except OSError as error:
            return {"ok": False, "kind": REFUSED, "message": f"on the board: {error}", "hint": ""}

    def _give_up(self, _number: int, _frame: object) -> None:
        """Exit, unless files still arrive: on a slow link they delay the sign of life."""
        if not self.releases.receiving(self.idle_seconds):
            raise SystemExit("the client is silent; is the network gone?")
        signal.alarm(self.idle_seconds)


def reply(answer: Dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def main(root: str, idle_seconds: int, as_root: bool) -> None:
    """Print the greeting, then serve; a login script may print other lines before the greeting.

    A login as root is refused by a line of its own, unless the settings allow it.
    """
    if os.geteuid() == 0 and not as_root:
        reply({"refused": "root"})
        return
    os.umask(0o022)  # whatever the login's is: nobody else may change a release
    server = Server(root, idle_seconds)
    reply({"atlasflow": 1, "root": server.releases.root, "python": sys.version_info[:2]})
    server.run()
