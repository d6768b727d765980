"""Pictures of reports that were drawn before: a run that reuses everything draws none and imports nothing for it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from infra.home import CHECKOUT
from infra.store.atomic import replacing
from infra.store.digests import file_digest, value_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MOST = 200
"""Pictures that are kept; the oldest are removed."""
CODE = ("tasks/figure.py", "tasks/reports/learning_plots.py", "tasks/reports/run_plots.py")
"""Files that decide how a picture looks."""


def kept(home: Path, name: str, inputs: Sequence[str], draw: Callable[[], bytes]) -> str:
    """A picture as a `data:` address, drawn unless it was drawn before from the same inputs by the same code.

    Args:
        home: of the installation; the pictures lie in its folder `reports`.
        name: what it shows.
        inputs: digests of what is drawn.
        draw: gives the PNG.
    """
    code = [file_digest(CHECKOUT / path) for path in CODE]
    path = home / "reports" / f"{name}-{value_digest([*code, *inputs])[:32]}.png"
    if not path.exists():
        with replacing(path) as temporary:
            temporary.write_bytes(draw())
        for old in sorted(path.parent.glob("*.png"), key=_age)[:-MOST]:
            old.unlink(missing_ok=True)
    return address(path.read_bytes())


def _age(path: Path) -> float:
    """When it was drawn; before everything where another run has just removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def address(picture: bytes) -> str:
    """A PNG as a `data:` address."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
