"""Sign releases: a manifest beside the files of each chip."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.board.agent.failure import Failure
from infra.board.agent.manifest import MANIFEST, PAYLOAD_TYPE, SCHEMA, parse, signed_bytes
from infra.board.release_folder import DESCRIPTION, releases_in
from infra.errors import Corrupt, Refused, UserError
from infra.ports.release import Release
from infra.secrets import secret_file
from infra.settings.release import ReleaseSettings
from infra.store.atomic import write_text
from infra.store.digests import canonical
from infra.store.local_files import describe_folder
from infra.store.locks import hold
from infra.trust.keyring import DEVELOPMENT, Kind, TrustedKey, read_keyring
from infra.trust.verify import manifest_of

NEWEST = "trust/newest"  # below the home: the manifests that were signed last, by chip
COUNTER = "trust/counter"
_DAY = 86_400


class ReleaseSigner:
    """Signs for a home, with the key that its settings name.

    Args:
        home: of the keyring and of the counter.
        settings: key, fleet and expiry.
    """

    def __init__(self, home: Path, settings: ReleaseSettings) -> None:
        self._home = home
        self._settings = settings

    def key(self, *, emulated: bool) -> TrustedKey:
        """The key to sign with: what a stand-in made gets the development key, whatever the settings name.

        Raises:
            UserError: there is no such key here.
        """
        name = DEVELOPMENT if emulated else self._settings.key or DEVELOPMENT
        found = read_keyring(self._home).signing(name)
        if found is None and name == DEVELOPMENT:
            return self._make_development_key()
        if found is None:
            raise UserError(f"this machine has no key '{name}' to sign with", hint="`atlasflow keys list` shows them")
        return found

    def sign(self, folder: Path, *, emulated: bool) -> TrustedKey:
        """Write a signed manifest into the folder of each chip of a release; returns the key.

        A release that is the newest one already keeps its manifests, so that boards see no change.

        Args:
            folder: of the release.
            emulated: True when a stand-in made any of its bytes.
        """
        chips = releases_in(describe_folder(folder), str(folder))
        key = self.key(emulated=emulated or any(release.emulated for release in chips.values()))
        with hold(self._home / "locks" / "release-counter"):
            if not self._is_newest(key, chips):
                self.sign_with(key, chips)
                self._remember(chips)
                return key
            for soc, release in chips.items():
                text = (self._home / NEWEST / f"{soc}.json").read_text(encoding="utf-8")
                write_text(release.files[DESCRIPTION].path.parent / MANIFEST, text)
        return key

    def sign_with(self, key: TrustedKey, chips: Mapping[str, Release]) -> None:
        """Sign a release with this key, which may be another than that of the settings; the caller holds the lock.

        Raises:
            Refused: a stand-in made it, and the key is a release key.
        """
        counter = self._next_counter()
        for name, text in self._manifests(key, chips, counter).items():
            write_text(chips[name].files[DESCRIPTION].path.parent / MANIFEST, text)

    def renew_below(self, release: Release, floor: int) -> Release:
        """Sign a release of one chip again if its counter is below a board's floor; else return it as it is."""
        return release if manifest_of(release).counter >= floor else self.renew(release)

    def renew(self, release: Release) -> Release:
        """Sign a release of one chip again, so that it is the newest one.

        Raises:
            UserError: this machine has no key to sign with.
        """
        key = self.key(emulated=release.emulated)
        with hold(self._home / "locks" / "release-counter"):
            text = self._manifests(key, {release.soc_version: release}, self._next_counter())[release.soc_version]
        return replace(release, manifest=text.encode())

    def _manifests(self, key: TrustedKey, chips: Mapping[str, Release], counter: int) -> dict[str, str]:
        if key.kind is Kind.RELEASE and any(release.emulated for release in chips.values()):
            raise Refused("a stand-in made this release; a release key never signs it", hint="compile it with atc")
        from infra.trust.signer import open_signer  # noqa: PLC0415 - cryptography loads slowly

        sign = open_signer(key, self._settings.passphrase.get_secret_value())
        now = int(time.time())
        expires = now + self._settings.expire_days * _DAY if self._settings.expire_days else None
        made = {}
        for soc, release in chips.items():
            payload = canonical({**self._body(release), "counter": counter, "signed": now, "expires": expires}).encode()
            made[soc] = envelope(payload, [(key.id, sign(signed_bytes(payload)))])
        return made

    def _body(self, release: Release) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "release": release.id,
            "chip": release.soc_version,
            "fleet": self._settings.fleet,
            "emulated": release.emulated,
            "files": {name: {"sha256": file.sha256, "size": file.size} for name, file in release.files.items()},
        }

    def _is_newest(self, key: TrustedKey, chips: Mapping[str, Release]) -> bool:
        """Whether these releases were signed last, by this key, for the same purpose, and do not expire soon."""
        try:
            last = {path.stem: parse(path.read_bytes()) for path in (self._home / NEWEST).glob("*.json")}
            counter = self._last_counter()
        except (Failure, OSError, Corrupt):  # a cache: sign again
            return False
        horizon = time.time() + self._settings.expire_days * _DAY / 2
        return last.keys() == chips.keys() and all(
            known.counter == counter
            and [item[0] for item in known.signatures] == [key.id]
            and self._body(chips[soc]).items() <= {**known._asdict(), "schema": SCHEMA}.items()
            and (known.expires is not None) == bool(self._settings.expire_days)
            and (known.expires is None or known.expires > horizon)
            for soc, known in last.items()
        )

    def _remember(self, chips: Mapping[str, Release]) -> None:
        kept = self._home / NEWEST
        for path in kept.glob("*.json"):
            path.unlink()
        for soc, release in chips.items():
            text = (release.files[DESCRIPTION].path.parent / MANIFEST).read_text(encoding="utf-8")
            write_text(kept / f"{soc}.json", text)

    def _make_development_key(self) -> TrustedKey:
        from infra.trust.signer import new_key  # noqa: PLC0415 - cryptography loads slowly

        with hold(self._home / "locks" / "development-key"):
            made = read_keyring(self._home).signing(DEVELOPMENT)
            if made is not None:
                return made
            count = len(read_keyring(self._home).named(DEVELOPMENT))
            path = secret_file(self._home, f"signing-{DEVELOPMENT}{f'-{count}' if count else ''}.pem")
            return new_key(self._home, DEVELOPMENT, Kind.DEVELOPMENT, path)

    def _next_counter(self) -> int:
        """A counter that is larger than all before: the time, so that several machines can sign, or one more."""
        counter = max(self._last_counter() + 1, int(time.time()))
        write_text(self._home / COUNTER, str(counter), mode=0o600)
        return counter

    def _last_counter(self) -> int:
        path = self._home / COUNTER
        try:
            return int(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return 0
        except ValueError as error:
            raise Corrupt(f"{path} is damaged: {error}", hint="remove it; the next one counts from the time") from error


def envelope(payload: bytes, signatures: list[tuple[str, bytes]]) -> str:
    """The DSSE envelope of a payload; signatures are ids of keys and DER signatures."""
    found = [{"keyid": key, "sig": base64.b64encode(signature).decode()} for key, signature in signatures]
    body = {"payloadType": PAYLOAD_TYPE, "payload": base64.b64encode(payload).decode(), "signatures": found}
    return json.dumps(body, indent=1)
