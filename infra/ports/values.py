"""Values that several ports share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Lines = Callable[[str], None]
"""Receives the lines of a running program, without their line ends."""


Bytes = Callable[[int], None]
"""Receives how many more bytes have moved."""


@dataclass(frozen=True)
class Producer:
    """What makes bytes: an ingredient of every key whose bytes it makes.

    Attributes:
        name: such as `mindspore-cpu`, `modelarts`, `atc`, `atc-stand-in`.
        version: of the tool; a stand-in of ours gives the digest of its code.
        emulated: True when this stands in for something real.
        details: anything else that may change the bytes (engine, device, CANN version).
    """

    name: str
    version: str
    emulated: bool
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine, whose SHA-256 is already known."""

    path: Path
    sha256: str
    size: int
