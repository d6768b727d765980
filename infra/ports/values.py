"""Values that several ports share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

OnLine = Callable[[str], None]
"""Receives each line of a running program, without its line end."""
OnBytes = Callable[[int], None]
"""Receives the number of bytes moved since the last call."""


@dataclass(frozen=True)
class Producer:
    """The program that produces the bytes of a stage; an ingredient of its key.

    Attributes:
        name: such as `mindspore-cpu`, `modelarts`, `atc`, `atc-stand-in`.
        version: of the program; for a stand-in the digest of its code.
        emulated: True for a stand-in.
        details: anything else that may change the bytes (engine, device, CANN version).
    """

    name: str
    version: str
    emulated: bool
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine with its known SHA-256 and its size in bytes."""

    path: Path
    sha256: str
    size: int
