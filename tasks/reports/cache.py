"""Cache of the pictures of reports: a run that reuses everything draws nothing, and imports nothing to draw."""

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


def cached(home: Path, name: str, inputs: Sequence[str], draw: Callable[[], bytes]) -> str:
    """Get a picture as a `data:` address; it is drawn once for the same inputs and the same code.

    Args:
        home: of the installation; the pictures are in its folder `reports`.
        name: of the picture.
        inputs: digests of its inputs.
        draw: returns the PNG.
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
    """Get the time of a file; 0 when another run has just removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def address(picture: bytes) -> str:
    """Encode a PNG as a `data:` address."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
