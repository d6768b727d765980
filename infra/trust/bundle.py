"""Bundles: a signed release as one file, for boards without a network."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from infra.board.program import start_program
from infra.board.release_folder import MANIFEST, releases_in
from infra.errors import Refused
from infra.ports.values import LocalFile
from infra.store.atomic import replacing, write_bytes, write_text
from infra.trust.verify import manifest_of

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of the format: equal releases make equal bundles


def write_bundle(files: Mapping[str, LocalFile], where: str, target: Path) -> int:
    """Write a release as one file, with a folder for each chip; returns its size in bytes.

    Args:
        files: path below the folder of the release to file.
        where: that folder, for messages.
        target: the file to write.

    Raises:
        UserError: there is no release.
        Refused: it is not signed.
        Corrupt: its files are not those of its manifest.
    """
    chips = releases_in(files, where)
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for soc, release in sorted(chips.items()):
            manifest_of(release)
            contents = {MANIFEST: release.manifest}
            contents |= {name: file.path.read_bytes() for name, file in sorted(release.files.items())}
            for name, data in contents.items():
                archive.writestr(zipfile.ZipInfo(f"{soc}/{name}", _EPOCH), data, zipfile.ZIP_DEFLATED)
    return target.stat().st_size


def write_setup(folder: Path, keyring: str) -> None:
    """Write what a board needs once before its first bundle: the program `start`, and its keyring.

    Raises:
        Refused: there is a keyring in the folder already.
    """
    if (folder / "trust" / "keyring.json").exists():
        raise Refused(f"{folder} holds a keyring already", hint="name another folder")
    write_bytes(folder / "start", start_program(), mode=0o755)
    write_text(folder / "trust" / "keyring.json", keyring, mode=0o600)
