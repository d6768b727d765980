"""What the page for labels asks for and tells: pictures without a class, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from infra.web.demo import Pixels


@dataclass(frozen=True)
class Question:
    """A picture that waits for its class.

    Attributes:
        id: of the picture.
        pixels: to show, uint8 [height, width, 3], RGB.
        board: where it comes from.
        guess: the most probable classes as (name, probability), best first.
        left: how many pictures wait, this one included.
    """

    id: str
    pixels: Pixels
    board: str
    guess: tuple[tuple[str, float], ...]
    left: int


class Labels(Protocol):
    """Pictures that people label; each method goes on from what is on the disk."""

    @property
    def names(self) -> Sequence[str]:
        """The class names."""
        ...

    def question(self) -> Question | None:
        """The next picture; None when there is none."""
        ...

    def label(self, picture: str, name: str) -> None:
        """Give a picture its class; one that is labelled already, in another window, is left as it is."""
        ...

    def skip(self, picture: str) -> None:
        """Leave a picture without a class."""
        ...

    def undo(self) -> bool:
        """Take the last label or skip back; returns False when there is none."""
        ...
