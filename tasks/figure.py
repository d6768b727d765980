"""One set-up for all figures: Agg, Matplotlib's defaults, and PNG bytes that depend on what is drawn alone."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import cache
from typing import IO, TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = 8  # points: text in cells, captions
DPI = 110
_LATIN = "DejaVu Sans"  # comes with Matplotlib
_CJK = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "SimHei", "PingFang SC")


@contextmanager
def drawn(target: Path | IO[bytes], width: float, height: float, *, dpi: int = DPI, **options: Any) -> Iterator[Figure]:
    """Give an empty figure to draw on, then write it as PNG.

    Neither the user's `matplotlibrc` nor the time nor Matplotlib's version are in the bytes. Chinese text is drawn with
    a font of the machine, and as boxes where it has none.

    Args:
        target: file to write.
        width: in inches.
        height: in inches.
        dpi: pixels an inch.
        options: of the figure; by default it has Matplotlib's constrained layout.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams["font.family"] = _families()
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=(width, height), **{"layout": "constrained", **options})
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(target, format="png", dpi=dpi, metadata={"Software": None})


@cache
def _families() -> list[str]:
    installed = set(fontManager.get_font_names())
    return [_LATIN, *(name for name in _CJK if name in installed)]
