"""The ledger: what it says, what is chosen, and how it looks."""

import csv
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.ports.board import SmokeResult
from infra.ports.comparison import Comparison
from tasks.release.ledger import Hop, Ledger
from tasks.release.parity import choose, with_board
from tasks.release.parity_report import rows, write
from tests.unit.tasks.doubles import FIGURES, ledger, read


def hop(precision: Any, *, objection: Any = None, whole: Any = FIGURES) -> Any:
    found = None if whole is None else Comparison.from_json(whole)
    return Hop("onnx", f"Ascend310 {precision}", 7, found, objection=objection, precision=precision)


def read_ledger(**options: Any) -> Any:
    return Ledger.from_json(ledger(**options))


LEDGER = read_ledger()
SMOKE = SmokeResult.from_json({**FIGURES, "tolerance": 0.1, "milliseconds": 0.25})
CANDIDATES = [hop("force_fp16", objection="agreement"), hop("allow_fp32_to_fp16"), hop("must_keep_origin_dtype")]


def test_without_times_the_first_that_passes_is_chosen() -> None:
    assert choose(CANDIDATES, {}) == ("allow_fp32_to_fp16", "the first of the declared order that passes")


def test_with_times_of_a_board_the_fastest_that_passes_is_chosen() -> None:
    times = {f"Ascend310 {name}": ms for name, ms in (
        ("force_fp16", 0.1), ("allow_fp32_to_fp16", 0.5), ("must_keep_origin_dtype", 0.3))}  # fmt: skip
    assert choose(CANDIDATES, times) == ("must_keep_origin_dtype", "the fastest that passes")


def test_times_of_some_decide_nothing() -> None:
    assert choose(CANDIDATES, {"Ascend310 must_keep_origin_dtype": 0.1})[0] == "allow_fp32_to_fp16"


def test_none_that_passes_is_none() -> None:
    assert choose(CANDIDATES[:1], {}) == (None, "none passes")


def test_a_boards_smoke_test_becomes_a_hop_that_is_judged_like_the_others() -> None:
    smoke = SmokeResult.from_json({**FIGURES, "agreement": 0.5, "tolerance": 0.1, "milliseconds": 0.2})
    last = with_board(LEDGER, "roof", "Ascend310", smoke).hops[-1]
    assert (last.source, last.target, last.bytes) == ("Ascend310 force_fp16", "board roof", 7)
    assert last.objection is not None
    assert last.whole is not None
    assert "agreement 0.5000 is below 0.9800; worst is" in last.objection
    assert last.whole.to_json() == {**FIGURES, "agreement": 0.5}


def test_a_board_that_tells_no_figures_is_listed_as_not_compared() -> None:
    for smoke in (SmokeResult(8, 1.0, 0.1, 0.2), None):
        last = with_board(LEDGER, "roof", "Ascend310", smoke).hops[-1]
        assert last.whole is None
        assert "keeps no figures" in last.reason


def test_the_table_has_a_row_a_hop(tmp_path: Path) -> None:
    files = write(with_board(LEDGER, "roof", "Ascend310", SMOKE), {"board roof": 0.25}, tmp_path)
    with files["parity"].open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["from"], row["to"], row["verdict"], row["ms"]) for row in found] == [
        ("checkpoint", "onnx", "passes", ""),
        ("onnx", "Ascend310 force_fp16", "chosen", ""),
        ("Ascend310 force_fp16", "board roof", "passes", "0.25"),
    ]
    assert found[0]["worst class"] == "none"
    assert read(files["latency"]) == {"board roof": 0.25}
    assert read(files["ledger"])["hops"][2]["to"] == "board roof"


def test_the_table_says_fails_and_not_finite_and_why_nothing_was_compared() -> None:
    book = read_ledger(precision=None, whole={**FIGURES, "max_difference": None})
    last = rows(book, {})[-1]
    assert last.agreement is not None
    assert (last.verdict, last.agreement.max_difference) == ("fails", "not finite")
    book = read_ledger(whole=None, reason="compiled for hardware")
    assert [row.verdict for row in rows(book, {})] == [
        "not compared: compiled for hardware", "chosen, not executed here: compiled for hardware",
    ]  # fmt: skip


@pytest.mark.parametrize("whole", [FIGURES, None], ids=["compared", "nothing compared"])
def test_the_picture_is_drawn_and_is_the_same_for_the_same_ledger(tmp_path: Path, whole: Any) -> None:
    pictures = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = write(read_ledger(whole=whole), {}, tmp_path / name)["picture"]
        with Image.open(path) as picture:
            assert picture.format == "PNG"
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("whole", [FIGURES, {**FIGURES, "max_difference": None}, None])
def test_the_json_form_is_read_and_written_alike(whole: Any) -> None:
    """Homes and releases have ledgers in this form."""
    found = ledger(whole=whole, socs=("Ascend310", "Ascend310B4"))
    found["hops"][1]["step"] = {"agreement": 1.0, "cosine": 1.0, "max_difference": None}
    assert Ledger.from_json(found).to_json() == found
