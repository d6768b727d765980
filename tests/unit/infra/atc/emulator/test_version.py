"""The stand-in's version covers its code."""

from pathlib import Path

from infra.atc.emulator.version import stand_in_version
from infra.store.code_digest import closure

CHECKOUT = Path(__file__).resolve().parents[5]


def test_the_version_covers_all_that_decides_over_the_bytes():
    covered = closure(["infra.atc.emulator.command"], CHECKOUT)
    for name in ("aipp", "aipp_graph", "compiling", "ends", "fusion", "graph", "om", "options", "precision", "shapes"):
        assert f"infra/atc/{name}.py" in covered
    assert "infra/air/reader.py" in covered
    assert "infra/atc/client.py" not in covered


def test_the_version_is_a_digest():
    assert len(stand_in_version()) == 64
    assert int(stand_in_version(), 16)
