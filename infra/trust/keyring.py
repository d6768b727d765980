"""The keyring of a home: which keys its boards shall trust, and where this machine finds the private halves.

`<home>/trust/keyring.json` holds public keys only. A private key lies in a file of its own (mode 0600), or in a token.
"""

import base64
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from infra.errors import Corrupt, UserError
from infra.store.atomic import write_text
from infra.store.locks import hold

DEVELOPMENT = "development"  # the name of the key that each home makes for itself
RECORD = "trust/keyring.json"  # below the home
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SCHEMA = 1
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=\n]+)-----END PUBLIC KEY-----\n?")


class Kind(StrEnum):
    """What a key may sign."""

    RELEASE = "release"
    DEVELOPMENT = "development"


@dataclass(frozen=True)
class TrustedKey:
    """A key of the keyring.

    Attributes:
        name: in the settings and commands; after a rotation, the older ones keep it too.
        id: SHA-256 of the public key in DER form, in hexadecimal.
        kind: what it may sign.
        public: in PEM form.
        created: seconds since 1970.
        source: path of the private key, or a `pkcs11:` address; empty where another machine has it.
        revoked: seconds since 1970; None while it counts.
        why: the reason of the revocation.
    """

    name: str
    id: str
    kind: Kind
    public: str
    created: float
    source: str = ""
    revoked: float | None = None
    why: str = ""

    @classmethod
    def of(cls, name: str, kind: Kind, public: str, source: str) -> "TrustedKey":
        """A new key.

        Raises:
            UserError: a bad name, or no public key in PEM form.
        """
        if not NAME.fullmatch(name):
            raise UserError(f"'{name}' cannot name a key", hint="use lower-case letters, digits and -")
        return cls(name, key_id(public), kind, public, time.time(), source)


@dataclass(frozen=True)
class HomeKeyring:
    """All keys of a home, oldest first."""

    keys: tuple[TrustedKey, ...] = field(default=())

    def signing(self, name: str) -> TrustedKey | None:
        """The newest key of a name that is not revoked and whose private half this machine has."""
        found = [key for key in self.keys if key.name == name and key.revoked is None and key.source]
        return found[-1] if found else None

    def named(self, name: str) -> tuple[TrustedKey, ...]:
        """The keys with this name, or with an id that begins with it."""
        return tuple(key for key in self.keys if key.name == name or (len(name) >= 8 and key.id.startswith(name)))

    def for_board(self, fleet: str, chip: str, *, stand_in: bool) -> str:
        """The keyring file of a board.

        Args:
            fleet: that the board belongs to.
            chip: of the board; empty when unknown.
            stand_in: True for a stand-in, which runs what stand-ins make.
        """
        keys = [
            {"id": key.id, "kind": key.kind.value, "public": key.public, "revoked": key.revoked is not None}
            for key in self.keys
        ]
        return json.dumps(
            {"schema": _SCHEMA, "fleet": fleet, "chip": chip, "stand_in": stand_in, "keys": keys}, indent=1
        )


def key_id(public: str) -> str:
    """The id of a public key in PEM form.

    Raises:
        UserError: it is no public key.
    """
    match = _PEM.fullmatch(public)
    if match is None:
        raise UserError("this is no public key in PEM form", hint="`openssl pkey -in KEY -pubout` writes it")
    return sha256(base64.b64decode(match[1])).hexdigest()


def read_keyring(home: Path) -> HomeKeyring:
    """Read the keyring of a home; an empty one when it has none yet.

    Raises:
        Corrupt: the file is damaged.
    """
    path = home / RECORD
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if body["schema"] != _SCHEMA:
            raise ValueError(f"schema {body['schema']} instead of {_SCHEMA}")
        return HomeKeyring(tuple(TrustedKey(**{**key, "kind": Kind(key["kind"])}) for key in body["keys"]))
    except FileNotFoundError:
        return HomeKeyring()
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{path} is damaged: {error}", hint="restore it from a backup (`atlasflow restore`)") from error


@contextmanager
def changing(home: Path) -> Iterator[None]:
    """Hold the lock of the keyring."""
    with hold(home / "locks" / "keyring"):
        yield


def add_key(home: Path, key: TrustedKey) -> HomeKeyring:
    """Add a key; the caller holds the lock.

    Raises:
        UserError: the keyring has it already, or another key of that name and another kind.
    """
    known = read_keyring(home)
    if any(other.id == key.id for other in known.keys):
        raise UserError(f"the keyring has this key already ({key.id[:12]})")
    if any(other.name == key.name and other.kind is not key.kind for other in known.keys):
        raise UserError(f"'{key.name}' is a key of another kind", hint="choose another name")
    return _write(home, HomeKeyring((*known.keys, key)))


def revoke_key(home: Path, name: str, why: str) -> tuple[TrustedKey, ...]:
    """Revoke the keys of a name or id; the caller holds the lock.

    Raises:
        UserError: there is none that counts.
    """
    known = read_keyring(home)
    doomed = {key.id for key in known.named(name) if key.revoked is None}
    if not doomed:
        raise UserError(f"no key '{name}' that counts is in the keyring", hint="`atlasflow keys list` shows them")
    now = time.time()
    keys = tuple(replace(key, revoked=now, why=why) if key.id in doomed else key for key in known.keys)
    return tuple(key for key in _write(home, HomeKeyring(keys)).keys if key.id in doomed)


def _write(home: Path, keyring: HomeKeyring) -> HomeKeyring:
    body = {"schema": _SCHEMA, "keys": [asdict(key) for key in keyring.keys]}
    write_text(home / RECORD, json.dumps(body, indent=1, sort_keys=True), mode=0o600)
    return keyring
