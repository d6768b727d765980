"""Select a share of the boards, and cut them into waves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import sha256

from infra.errors import UserError


def share(boards: Sequence[str], percent: float) -> tuple[str, ...]:
    """Select a percentage of the boards, rounded up, in their order.

    The selection depends only on the names, and is spread evenly by a digest. A larger percentage includes a smaller
    one.
    """
    count = math.ceil(len(boards) * percent / 100 - 1e-9)
    chosen = set(sorted(boards, key=lambda name: sha256(name.encode()).hexdigest())[:count])
    return tuple(name for name in boards if name in chosen)


def cut_waves(boards: Sequence[str], sizes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Cut boards into waves.

    Args:
        boards: in their order.
        sizes: boards done at the end of each wave: a number such as `1`, or a share such as `25%`, rounded up. The rest
            is the last wave; a wave that would add no board is left out.

    Raises:
        UserError: there is no board, or a size is wrong.
    """
    if not boards:
        raise UserError("no board is selected", hint="name boards, or use --label or --all")
    waves: list[tuple[str, ...]] = []
    done = 0
    for text in (*sizes, "100%"):
        end = min(len(boards), _size(text, len(boards)))
        if end > done:
            waves.append(tuple(boards[done:end]))
            done = end
    return tuple(waves)


def _size(text: str, total: int) -> int:
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) if percent else int(number)
    except ValueError:
        value = -1
    if rest or not 0 < value < math.inf or (percent and value > 100):
        raise UserError(f"'{text}' is not the size of a wave", hint="write sizes such as 1,10%,50%")
    return math.ceil(total * value / 100 - 1e-9) if percent else int(value)
