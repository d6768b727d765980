"""What a board trusts: its keyring, its floor, and the verification of a release before anything of it runs.

<folder>/trust/keyring.json  the public keys, the fleet and the chip of this board; `/etc/atlasflow/keyring.json`, which
                             only root can change, takes its place where it exists
<folder>/trust/floor.json    the smallest counter that this board still accepts

Signatures are checked in signature.py. Standard library only.
"""

import json
import os
import stat
import time
from typing import NamedTuple, Optional

from .failure import CORRUPT, REFUSED, Failure
from .files import make_folder, write
from .manifest import MANIFEST, MAX_BYTES, Manifest, check_files, parse, read_small
from .signature import Check, Key, Keyring, check_signature, openssl, parse_keyring

KEYRING = "keyring.json"
FLOOR = "floor.json"
SYSTEM_KEYRING = "/etc/atlasflow/keyring.json"
MAX_SMALL = 64 * 1024  # bytes of a keyring


class Floor(NamedTuple):
    """The smallest counter that is accepted, the digest of the one older manifest that is accepted too, and a time.

    The older one is that of the release to fall back to. `seen` is the latest time of signing that was accepted: a
    board's clock may stand at 1970.
    """

    counter: int
    fallback: Optional[str]
    seen: int


def check_purpose(manifest: Manifest, key: Key, keyring: Keyring, now: float) -> None:
    """Compare a manifest with what this board is.

    Raises:
        Failure: it is for another chip or fleet, expired, or made by a stand-in and this board is real.
    """
    problem, hint = "", "deploy one that was published for this board"
    if manifest.fleet != keyring.fleet:
        problem = "is for fleet {!a}, this board belongs to {!a}".format(manifest.fleet, keyring.fleet)
    elif keyring.chip and manifest.chip != keyring.chip:
        problem = "is for {!a}, this board has {!a}".format(manifest.chip, keyring.chip)
    elif manifest.emulated and (key.kind == "release" or not keyring.stand_in):
        problem = "was made by a stand-in"
    elif manifest.expires is not None and max(now, manifest.signed) >= manifest.expires:
        problem, hint = "has expired", "sign it again, or deploy a newer one"
    if problem:
        raise Failure(REFUSED, "release {} {}".format(manifest.release, problem), hint)


def check_floor(manifest: Manifest, floor: Floor) -> None:
    """Refuse a release that is older than the board's floor, unless it is the one to fall back to.

    Raises:
        Failure: it is older.
    """
    if manifest.counter < floor.counter and manifest.sha256 != floor.fallback:
        raise Failure(
            REFUSED,
            "release {} is older than this board accepts (counter {}, at least {})".format(
                manifest.release, manifest.counter, floor.counter
            ),
            "sign it again, or say so: deploy.allow_downgrade=true",
        )


class Trust:
    """The keyring and the floor of the board folder `root`; `check` verifies one signature."""

    def __init__(self, root: str, check: Check = openssl) -> None:
        self.check = check
        self.folder = os.path.join(root, "trust")
        self._downgrade: Optional[str] = None  # digest of the manifest that may be older, in this process

    def keyring(self) -> Keyring:
        """The keyring of this board.

        Raises:
            Failure: there is none, it is damaged, or others than root and this user can change it.
        """
        path = SYSTEM_KEYRING if os.path.lexists(SYSTEM_KEYRING) else os.path.join(self.folder, KEYRING)
        if not os.path.lexists(path):
            raise Failure(REFUSED, "this board has no keyring", "give it one: `atlasflow boards keyring BOARD`")
        check_owner(path)
        return parse_keyring(read_small(path, MAX_SMALL))

    def keep_keyring(self, text: bytes) -> None:
        """Store a keyring that the client sends.

        Raises:
            Failure: it is damaged, or root has given this board another one.
        """
        parse_keyring(text)
        if os.path.lexists(SYSTEM_KEYRING):
            raise Failure(REFUSED, SYSTEM_KEYRING + " holds the keyring of this board", "let root change it")
        self.make_folder()
        write(os.path.join(self.folder, KEYRING), text.decode(), 0o600)

    def make_folder(self) -> None:
        """Create the folder for this user alone."""
        make_folder(self.folder)
        os.chmod(self.folder, 0o700)

    def floor(self) -> Floor:
        """The floor; 0 on a board that has accepted nothing yet."""
        path = os.path.join(self.folder, FLOOR)
        if not os.path.lexists(path):
            return Floor(0, None, 0)
        check_owner(path)
        try:
            body = json.loads(read_small(path, MAX_SMALL).decode())
            return Floor(int(body["counter"]), body["fallback"], int(body["seen"]))
        except (ValueError, KeyError, TypeError) as error:
            hint = "remove it only if nobody else could: the board then accepts any signed release"
            raise Failure(CORRUPT, "{} is damaged: {}".format(path, error), hint) from error

    def raise_floor(self, manifest: Manifest, fallback: Optional[Manifest]) -> None:
        """Accept nothing older than `manifest` from now on, but for the release to fall back to.

        When that one is activated itself, the floor stays: only `allow_downgrade` lowers it.
        """
        self.make_folder()
        floor = self.floor()
        counter, spared = manifest.counter, fallback and fallback.sha256
        if counter < floor.counter and manifest.sha256 != self._downgrade:
            counter, spared = floor.counter, manifest.sha256
        body = {"counter": counter, "fallback": spared, "seen": max(floor.seen, manifest.signed)}
        write(os.path.join(self.folder, FLOOR), json.dumps(body, sort_keys=True), 0o600)

    def allow_downgrade(self, manifest: Manifest) -> None:
        """Accept this manifest in this process though it is older than the floor; the caller writes that down."""
        self._downgrade = manifest.sha256

    def check_manifest(self, envelope: bytes, *, downgrade: bool = False) -> Manifest:
        """Verify a manifest before a file of its release is copied or read.

        Raises:
            Failure: not signed by a key of this board, or not meant for it, or too old.
        """
        manifest, keyring, floor = parse(envelope), self.keyring(), self.floor()
        key = check_signature(manifest, keyring.keys, self.check)
        check_purpose(manifest, key, keyring, max(time.time(), floor.seen))
        if not downgrade and manifest.sha256 != self._downgrade:
            check_floor(manifest, floor)
        return manifest

    def check_release(self, folder: str) -> Manifest:
        """Verify a release folder, every byte, before anything in it is executed or loaded.

        Raises:
            Failure: as `check_manifest`; or a file is missing, changed, too many, or others can change it.
        """
        check_owner(os.path.dirname(os.path.abspath(folder)))
        manifest = self.check_manifest(read_small(os.path.join(folder, MANIFEST), MAX_BYTES))
        for name in ["", MANIFEST] + sorted(manifest.files):  # noqa: RUF005 - as old Pythons do
            if os.path.lexists(os.path.join(folder, name)):
                check_owner(os.path.join(folder, name))
        check_files(folder, manifest)
        return manifest


def check_owner(path: str) -> None:
    """Refuse a file that others than root and this user can change, or whose folder they can.

    Raises:
        Failure: with the path.
    """
    for place in (path, os.path.dirname(os.path.abspath(path))):
        found = os.lstat(place)
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Failure(
                REFUSED,
                "others can change {}".format(place),
                "chown it to this user, and chmod go-w; then deploy the release again",
            )
