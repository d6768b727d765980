"""Verify the active release and start its program: `<folder>/start COMMAND …`, such as `start watch camera/`.

`start install BUNDLE` installs a release from a stick. This program does not belong to any release: the client stores
it on the board, as one zip archive of this module and those it imports. When the active release is damaged, the
previous one is verified and takes over.
"""

import json
import os
import sys
from typing import Dict, List

from .bundle import install
from .failure import USER, Failure
from .releases import WATCHDOG, Releases
from .trust import check_owner

LOCK_SECONDS = 600.0


def main(arguments: List[str]) -> int:
    """Run a command of the active release, `verify`, or `help`; returns only when it was not started."""
    os.umask(0o022)
    program = os.path.realpath(sys.argv[0])
    releases = Releases(os.path.dirname(program))
    try:
        if not arguments:
            raise Failure(
                USER,
                "there is no command",
                "give one: verify, install BUNDLE, smoke, classify, watch, bench, infer or info",
            )
        if os.geteuid() == 0 and os.environ.get("ATLASFLOW_AS_ROOT") != "1":
            raise Failure(
                USER, "this would run a release as root", "log in as another user, or set ATLASFLOW_AS_ROOT=1"
            )
        check_owner(program)
        if arguments[0] == "install" and len(arguments) == 2:
            print(json.dumps(install(releases, arguments[1])))
            return 0
        if arguments[0] == "verify":
            print(json.dumps(verify(releases)))
            return 0
        folder = folder_to_run(releases)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [sys.executable, "-B", os.path.join(folder, "agent", "main.py")] + arguments  # noqa: RUF005
        os.execv(sys.executable, command)  # noqa: S606 - there is no shell to want
    except Failure as failure:
        sys.stderr.write(failure.message + ("\n  -> {}\n".format(failure.hint) if failure.hint else "\n"))
        return failure.exit_code


def verify(releases: Releases) -> Dict[str, object]:
    """Verify the active release.

    Raises:
        Failure: it must not run.
    """
    active = _active(releases)
    manifest = releases.check(active)
    return {"release": active, "counter": manifest.counter, "files": len(manifest.files), "manifest": manifest.sha256}


def folder_to_run(releases: Releases) -> str:
    """The folder of the active release, verified; of the previous one, which becomes active, when it must not run.

    Raises:
        Failure: neither may run.
    """
    active = _active(releases)
    try:
        releases.check(active)
    except Failure as failure:
        sys.stderr.write(failure.message + "\n")
        if releases.state()["previous"] is None:
            raise
        releases.lock(LOCK_SECONDS, "the start of a damaged release")
        if releases.state()["active"] == active:
            releases.rollback("not started: " + failure.message, WATCHDOG)
        active = _active(releases)
        releases.check(active)
        sys.stderr.write("release {} is back in service\n".format(active))
    return releases.folders.newest(active)


def _active(releases: Releases) -> str:
    active = releases.state()["active"]
    if active is None:
        raise Failure(USER, "no release is active here", "deploy one")
    return str(active)
