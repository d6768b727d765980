import os
from pathlib import Path
from typing import Any

import pytest

from tasks.reports import cache
from tasks.reports.cache import address, cached


@pytest.fixture
def draws() -> Any:
    """How often something was drawn, and how."""
    drawn = []

    def draw() -> bytes:
        drawn.append(b"picture")
        return b"picture"

    counted: Any = draw
    counted.drawn = drawn
    return counted


def test_a_picture_is_drawn_once_for_the_same_inputs(tmp_path: Path, draws: Any) -> None:
    first = cached(tmp_path, "curves", ["a"], draws)
    assert first == address(b"picture") == "data:image/png;base64,cGljdHVyZQ=="
    assert cached(tmp_path, "curves", ["a"], draws) == first
    cached(tmp_path, "curves", ["b"], draws)
    assert len(draws.drawn) == 2


def test_the_oldest_go(tmp_path: Path, draws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 2)
    for age, name in enumerate(("new", "old", "older")):
        cached(tmp_path, name, ["a"], draws)
        (path,) = (tmp_path / "reports").glob(f"{name}-*")
        os.utime(path, (1000 - age, 1000 - age))
    cached(tmp_path, "newest", ["a"], draws)
    assert {path.name.partition("-")[0] for path in (tmp_path / "reports").iterdir()} == {"new", "newest"}


def test_a_picture_that_another_run_removes_meanwhile_is_no_trouble(
    tmp_path: Path, draws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST", 1)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "gone-0.png").symlink_to(tmp_path / "removed")
    cached(tmp_path, "curves", ["a"], draws)
    assert [path.name.partition("-")[0] for path in (tmp_path / "reports").iterdir()] == ["curves"]
