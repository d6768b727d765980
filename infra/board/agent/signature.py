"""The keys that a board trusts, and the check that one of them signed a manifest.

Signatures are ECDSA over P-256 with SHA-256, checked by the board's own `openssl`. Standard library only.
"""

import json
import os
import shutil
import subprocess
import tempfile
from typing import Callable, List, NamedTuple

from .failure import CORRUPT, REFUSED, Failure
from .manifest import Manifest

_OPENSSL_PLACES = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin"


class Key(NamedTuple):
    """A public key of the keyring.

    Attributes:
        id: SHA-256 of its DER form, in hexadecimal.
        kind: `release`, or `development`, which only the machine that made it uses.
        public: its PEM form.
        revoked: True when nothing that it signed may run any more.
    """

    id: str
    kind: str
    public: str
    revoked: bool


class Keyring(NamedTuple):
    """The keys of a board, its fleet, and its chip (empty when unknown)."""

    fleet: str
    chip: str
    stand_in: bool
    keys: List[Key]


Check = Callable[[str, bytes, bytes], bool]  # PEM of a public key, signed bytes, DER signature


def parse_keyring(text: bytes) -> Keyring:
    """Read a keyring.

    Raises:
        Failure: it is damaged.
    """
    try:
        body = json.loads(text.decode())
        keys = [Key(str(k["id"]), str(k["kind"]), str(k["public"]), k["revoked"] is not False) for k in body["keys"]]
        return Keyring(str(body["fleet"]), str(body["chip"]), body["stand_in"] is True, keys)
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(
            CORRUPT, "the keyring is damaged: {}".format(error), "give the board its keyring again"
        ) from error


def openssl(public: str, text: bytes, signature: bytes) -> bool:
    """Check a signature with the program `openssl`, in an environment without the toolkit's libraries."""
    program = shutil.which("openssl", path=_OPENSSL_PLACES)
    if program is None:
        raise Failure(
            REFUSED, "the board has no openssl, so no signature can be checked", "install it: apt install openssl"
        )
    folder = tempfile.mkdtemp()
    try:
        paths = [os.path.join(folder, name) for name in ("key", "signature")]
        for path, data in zip(paths, (public.encode(), signature)):  # noqa: B905 - Python 3.6 has no strict
            with open(path, "wb") as file:
                file.write(data)
        command = [program, "dgst", "-sha256", "-verify", paths[0], "-signature", paths[1]]
        process = subprocess.run(
            command,
            input=text,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": _OPENSSL_PLACES},
            timeout=60,
        )
    finally:
        shutil.rmtree(folder)
    return process.returncode == 0


def check_signature(manifest: Manifest, keys: List[Key], check: Check = openssl) -> Key:
    """Find the key of the keyring that signed a manifest.

    Args:
        manifest: to check.
        keys: of the keyring.
        check: verifies one signature.

    Raises:
        Failure: no key that counts has signed it.
    """
    reason = "none of its keys is in the keyring of this board"
    for identifier, signature in manifest.signatures:
        for key in keys:
            if key.id != identifier:
                continue
            if key.revoked:
                reason = "its key {} is revoked".format(key.id[:12])
            elif check(key.public, manifest.signed_bytes, signature):
                return key
            else:
                reason = "the signature of key {} does not fit".format(key.id[:12])
    message = "release {} is not signed for this board: {}".format(manifest.release, reason)
    raise Failure(REFUSED, message, "sign it with a key of the board: `atlasflow release sign`")
