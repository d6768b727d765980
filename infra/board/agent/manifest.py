"""The signed manifest of a release: what it is for, and every file by its digest. Standard library only.

`manifest.json` is an envelope of DSSE, the form of in-toto: the payload in base64 and its signatures. The payload is
the JSON of `Manifest`.
"""

import base64
import hashlib
import json
import os
import re
import stat
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .failure import CORRUPT, Failure
from .files import digest

MANIFEST = "manifest.json"
PAYLOAD_TYPE = "application/vnd.atlasflow.release+json"
SCHEMA = 1
MAX_BYTES = 512 * 1024  # of an envelope
MAX_SIGNATURES = 8
MAX_FILES = 4096
MAX_FILE_BYTES = 2**36
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}")
AGAIN = "deploy the release again"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[^\\/\x00-\x1f\x7f]{1,255}")
_FIELDS = {"schema", "release", "chip", "fleet", "counter", "signed", "expires", "emulated", "files"}
_PROGRAM = "agent/main.py"


class Manifest(NamedTuple):
    """A manifest that was read; whether a signature fits is another matter.

    Attributes:
        envelope: the file.
        payload: the bytes in it that the other fields stand in.
        signatures: ids of keys, and signatures in DER form.
        release: id of the release.
        chip: that the model was compiled for.
        fleet: that may run it.
        counter: larger than that of every release signed before.
        signed: when, in seconds since 1970.
        expires: from when on it must not run, in seconds since 1970; None for never.
        emulated: True when a stand-in made any of its bytes.
        files: path in the release to `{"sha256": …, "size": …}`.
    """

    envelope: bytes
    payload: bytes
    signatures: List[Tuple[str, bytes]]
    release: str
    chip: str
    fleet: str
    counter: int
    signed: int
    expires: Optional[int]
    emulated: bool
    files: Dict[str, Dict[str, Any]]

    @property
    def sha256(self) -> str:
        """The digest of its payload."""
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that are signed: the payload with its type and both lengths, as DSSE defines them."""
        return signed_bytes(self.payload)


def signed_bytes(payload: bytes) -> bytes:
    """The pre-authentication encoding of DSSE 1.0."""
    kind = PAYLOAD_TYPE.encode()
    return b" ".join((b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload))


def parse(envelope: bytes) -> Manifest:
    """Read a manifest; everything that it does not define is refused.

    Raises:
        Failure: it is too large, damaged, or of another schema.
    """
    if len(envelope) > MAX_BYTES:
        raise _damaged("more than {} bytes".format(MAX_BYTES))
    try:
        outer = json.loads(envelope.decode(), object_pairs_hook=_object)
        if set(outer) != {"payloadType", "payload", "signatures"} or outer["payloadType"] != PAYLOAD_TYPE:
            raise ValueError("it is no signed manifest")
        payload = base64.b64decode(outer["payload"], validate=True)
        signatures = [
            (str(item["keyid"]), base64.b64decode(item["sig"], validate=True)) for item in outer["signatures"]
        ]
        body = json.loads(payload.decode(), object_pairs_hook=_object)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(error) from error
    if not 0 < len(signatures) <= MAX_SIGNATURES:
        raise _damaged("{} signatures".format(len(signatures)))
    _check_body(body)
    del body["schema"]
    return Manifest(envelope, payload, signatures, **body)


def _check_body(body: Any) -> None:
    if not isinstance(body, dict) or set(body) != _FIELDS:
        raise _damaged("it has not exactly the fields of a manifest")
    if body["schema"] != SCHEMA:
        raise _damaged("schema {!r} instead of {}".format(body["schema"], SCHEMA))
    for name, kind in (("release", str), ("chip", str), ("fleet", str), ("emulated", bool), ("files", dict)):
        if type(body[name]) is not kind:
            raise _damaged("'{}' is not a {}".format(name, kind.__name__))
    numbers = [body["counter"], body["signed"]] + ([] if body["expires"] is None else [body["expires"]])
    if any(type(number) is not int or not 0 <= number < 2**53 for number in numbers):
        raise _damaged("'counter', 'signed' and 'expires' are not whole numbers")
    if not IDENTIFIER.fullmatch(body["release"]):
        raise _damaged("{!a} cannot name a release".format(body["release"]))
    _check_listing(body["files"])


def read(folder: str) -> Manifest:
    """Read the manifest of a release folder.

    Raises:
        Failure: it is missing or damaged.
    """
    return parse(read_small(os.path.join(folder, MANIFEST), MAX_BYTES))


def read_small(path: str, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises:
        Failure: it is missing, no regular file, or larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Failure(CORRUPT, "{} cannot be read: {}".format(path, error.strerror), AGAIN) from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Failure(CORRUPT, "{} is not a file".format(path), AGAIN)
        found = file.read(limit + 1)
    if len(found) > limit:
        raise Failure(CORRUPT, "{} has more than {} bytes".format(path, limit), AGAIN)
    return found


def check_files(folder: str, manifest: Manifest) -> None:
    """Compare a release folder with its manifest: exactly these files, regular, with these digests.

    A file too many is refused as well: Python would import `agent/numpy.py` in place of numpy.

    Raises:
        Failure: with the files that are wrong.
    """
    wrong = {name for name in manifest.files if not _is_intact(os.path.join(folder, name), manifest.files[name])}
    strange = strangers(folder, manifest)
    if wrong or strange:
        names = sorted(wrong) + sorted(strange)
        shown = ", ".join(ascii(name) for name in names[:5]) + (" and more" if len(names) > 5 else "")
        what = "is missing or changed" if not strange else "is missing, changed or does not belong to it"
        message = "release {}: {} {}".format(manifest.release, shown, what)
        raise Failure(CORRUPT, message, AGAIN, files=sorted(wrong))


def strangers(folder: str, manifest: Manifest) -> List[str]:
    """What lies in a release folder but not in its manifest; a link counts, whatever it leads to."""
    found = []
    known = set(manifest.files) | {MANIFEST}
    folders = {name.rpartition("/")[0] for name in manifest.files}
    folders |= {parent for name in folders for parent in _parents(name)}
    for parent, inner, names in os.walk(folder):
        for name in names + inner:
            path = os.path.join(parent, name)
            relative = os.path.relpath(path, folder)
            if relative not in (folders if name in inner and not os.path.islink(path) else known):
                found.append(relative)
    return found


def _is_intact(path: str, entry: Dict[str, Any]) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == entry["size"] and digest(path) == entry["sha256"]


def _parents(name: str) -> List[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _check_listing(files: Dict[str, Any]) -> None:
    if not 0 < len(files) <= MAX_FILES or _PROGRAM not in files:
        raise _damaged("it lists {} files, or no {}".format(len(files), _PROGRAM))
    for name, entry in files.items():
        parts = name.split("/")
        plain = len(parts) <= 32 and all(_PART.fullmatch(part) and part not in (".", "..") for part in parts)
        if not plain or name == MANIFEST:
            raise _damaged("{!a} cannot be a file of a release".format(name[:80]))
        if not isinstance(entry, dict) or set(entry) != {"sha256", "size"}:
            raise _damaged("the entry of {!a} is not digest and size".format(name))
        whole = type(entry["size"]) is int and 0 <= entry["size"] <= MAX_FILE_BYTES
        if not whole or not isinstance(entry["sha256"], str) or not _DIGEST.fullmatch(entry["sha256"]):
            raise _damaged("the entry of {!a} is not digest and size".format(name))


def _object(pairs: Any) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _damaged(why: object) -> Failure:
    return Failure(CORRUPT, "the manifest of the release is damaged: {}".format(why), AGAIN)
