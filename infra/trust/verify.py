"""Verify releases on this machine, by the code that boards verify them with."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from infra.board.agent.failure import Failure
from infra.board.agent.manifest import Manifest, parse
from infra.board.agent.signature import Key, Keyring, check_signature
from infra.board.agent.trust import check_purpose
from infra.errors import AtlasFlowError, Corrupt, Refused, UserError
from infra.ports.release import Release
from infra.trust.keyring import HomeKeyring

_CLASSES: dict[int, type[AtlasFlowError]] = {kind.exit_code: kind for kind in (UserError, Refused, Corrupt)}


def manifest_of(release: Release) -> Manifest:
    """Read the manifest of a release, and compare it with the release; no signature is checked.

    Raises:
        Refused: it has none.
        Corrupt: it is damaged, or of other files.
    """
    if not release.manifest:
        raise Refused(f"release {release.id} is not signed", hint="`atlasflow release sign` signs it")
    with mapped():
        manifest = parse(release.manifest)
    listed = {name: (entry["sha256"], entry["size"]) for name, entry in manifest.files.items()}
    found = {name: (file.sha256, file.size) for name, file in release.files.items()}
    if listed != found:
        names = sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name))
        error = Corrupt(
            f"{', '.join(names[:5])} of release {release.id} is not what its manifest signs",
            hint="take the release from where it was published again",
        )
        error.files = tuple(names)
        raise error
    said = (manifest.release, manifest.chip, manifest.emulated)
    if said != (release.id, release.soc_version, release.emulated):
        raise Corrupt(f"the manifest of release {release.id} is that of another one ({manifest.release})")
    return manifest


def verify_release(
    release: Release, keyring: HomeKeyring, fleet: str, now: float | None = None
) -> tuple[Manifest, Key]:
    """Verify a release as a board of its chip would that has accepted nothing before.

    Args:
        release: with its files and digests.
        keyring: of this home.
        fleet: of the boards.
        now: seconds since 1970; None for the present.

    Returns:
        The manifest, and the key that signed it.

    Raises:
        Refused: no key that counts has signed it, it is for another fleet, or it has expired.
        Corrupt: as `manifest_of`.
    """
    from infra.trust.signer import fits  # noqa: PLC0415 - cryptography loads slowly

    manifest = manifest_of(release)
    keys = [Key(key.id, key.kind.value, key.public, key.revoked is not None) for key in keyring.keys]
    board = Keyring(fleet, release.soc_version, release.emulated, keys)
    with mapped():
        key = check_signature(manifest, keys, fits)
        check_purpose(manifest, key, board, time.time() if now is None else now)
    return manifest, key


@contextmanager
def mapped() -> Iterator[None]:
    """Map failures of the board's code to this project's errors."""
    try:
        yield
    except Failure as failure:
        raise _CLASSES.get(failure.exit_code, Refused)(failure.message, hint=failure.hint) from failure
