"""The stand-in's version covers its code."""

from pathlib import Path

from infra.atc.emulator.version import stand_in_version
from infra.store.code_digest import closure

CHECKOUT = Path(__file__).resolve().parents[5]


def test_the_version_covers_all_code_that_decides_the_bytes() -> None:
    covered = closure(["infra.atc.emulator.command"], CHECKOUT)
    stand_in = (CHECKOUT / "infra" / "atc" / "emulator").glob("*.py")
    assert {path.relative_to(CHECKOUT).as_posix() for path in stand_in} <= covered.keys()
    assert "infra/atc/aipp.py" in covered
    assert "infra/air/reader.py" in covered
    assert "infra/atc/client.py" not in covered


def test_the_version_is_a_digest() -> None:
    assert len(stand_in_version()) == 64
    assert int(stand_in_version(), 16)
