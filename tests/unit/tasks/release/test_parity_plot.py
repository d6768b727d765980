"""The picture of the parity ledger fits a page, with few classes and with many."""

from pathlib import Path

import pytest
from PIL import Image

from infra.ports.comparison import Comparison
from tasks.release.ledger import Bounds, CompilerName, Hop, Ledger
from tasks.release.parity_plot import draw
from tests.unit.tasks.doubles import FIGURES


def ledger(classes: int, hops: int) -> Ledger:
    """A ledger with a hop for each form, whose last class agrees least."""
    rows = [
        {**FIGURES, "per_class": (), "class": f"class {number}", "agreement": 1.0 - number / 1000}
        for number in range(classes)
    ]
    whole = Comparison.from_json({**FIGURES, "per_class": rows})
    made = tuple(Hop("checkpoint", f"form {number}", 1000, whole) for number in range(hops))
    return Ledger("onnx", Bounds(0.98, 0.01), 100, True, made, {}, {}, CompilerName("stand-in", "1"))


@pytest.mark.parametrize(("classes", "hops"), [(2, 1), (10, 4), (100, 6)])
def test_it_is_as_wide_as_a_page(classes: int, hops: int, tmp_path: Path) -> None:
    draw(ledger(classes, hops), {"form 0": 1.25}, tmp_path / "parity.png")
    with Image.open(tmp_path / "parity.png") as picture:
        assert picture.width <= 910
        assert picture.height < 200 + 70 * hops


def test_nothing_compared_is_said(tmp_path: Path) -> None:
    draw(ledger(2, 0), {}, tmp_path / "parity.png")
    assert (tmp_path / "parity.png").stat().st_size > 1000
