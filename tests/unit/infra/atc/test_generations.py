"""The table of CANN generations, and the page that is written from it."""

import pytest

from infra.atc import compatibility
from infra.atc.generations import CHIPS, GENERATIONS, NAMES, chips_of, generation, has_flag, runs_on
from infra.errors import UserError


def test_the_page_is_the_table() -> None:
    assert compatibility.PAGE.read_text() == compatibility.page(), "run python -m infra.atc.compatibility"


def test_names_and_order() -> None:
    assert tuple(GENERATIONS) == NAMES
    assert generation("8.5").operators_packages
    with pytest.raises(UserError, match="CANN 4"):
        generation("4")


def test_chips_come_and_go() -> None:
    assert "Ascend310" in chips_of("8.0")
    assert "Ascend310" not in chips_of("8.5")
    assert "Ascend910_9392" in chips_of("9.0")
    assert "Ascend310B4" not in chips_of("5.1")
    assert [CHIPS[name].bfloat16 for name in ("Ascend310", "Ascend310P3", "Ascend310B4", "Ascend910B4-1")] == [
        False,
        False,
        True,
        True,
    ]


def test_flags_come_and_go() -> None:
    assert [has_flag(cann, "enable_attr_compression") for cann in ("5.1", "8.5", "9.0")] == [False, False, True]
    assert not has_flag("9.0", "nonsense")


@pytest.mark.parametrize(
    ("compiler", "board", "runs"),
    [
        ("8.0", "8.0", True),
        ("8.0.RC2", "7.0.1", False),
        ("7.0.RC1", "8.3", True),
        ("7.0.RC1", "8.5", False),
        ("7.0", "unknown", None),
        ("stand-in", "8.0", None),
    ],
)
def test_which_board_runs_what_which_compiler_made(compiler: str, board: str, runs: bool | None) -> None:
    assert runs_on(compiler, board) is runs
