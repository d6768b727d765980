"""A release, as boards get it."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.ports.values import LocalFile


@dataclass(frozen=True)
class Release:
    """What to install on a board.

    Attributes:
        id: name of the release's folder on the board; letters, digits, `-`.
        files: path inside the release folder to file.
        soc_version: the chip that the model was compiled for.
        emulated: True when a stand-in made any of its bytes; real boards refuse it.
        cann: version of the CANN toolkit that compiled the model; empty when unknown.
        manifest: its signed manifest; empty for a release that was not signed.
        pillow: version of Pillow that decoded the pictures of its data set; empty when unknown.
    """

    id: str
    files: Mapping[str, LocalFile]
    soc_version: str
    emulated: bool
    cann: str = ""
    manifest: bytes = b""
    pillow: str = ""
