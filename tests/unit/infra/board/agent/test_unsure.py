import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.board.agent.failure import Failure
from infra.board.agent.unsure import DAY, Bounds, Keeper, forget, names, sizes


def picture(folder: Path, name: str, content: bytes = b"") -> str:
    path = folder / name
    path.write_bytes(content or name.encode())
    return str(path)


def keep(folder: Path, bounds: Bounds, offers: Sequence[tuple[str, float]]) -> list[float]:
    """Offer pictures, and return the margins that are kept."""
    keeper = Keeper(str(folder / "unsure"), bounds)
    for name, margin in offers:
        keeper.offer(picture(folder, name), (("cat", 0.4 + margin), ("dog", 0.4)))
    return [float(name.split("-")[0]) for name in names(str(folder / "unsure"))]


def test_nothing_is_kept_unless_asked_for(tmp_path: Path) -> None:
    assert not keep(tmp_path, Bounds(), [("a.jpg", 0.1)])
    assert not (tmp_path / "unsure").exists()


def test_the_least_sure_are_kept(tmp_path: Path) -> None:
    offers = [("a.jpg", 0.5), ("b.JPG", 0.1), ("c.png", 0.3), ("d.png", 0.2), ("e.png", 0.4)]
    assert keep(tmp_path, Bounds(3), offers) == [0.1, 0.2, 0.3]
    (first, *_) = names(str(tmp_path / "unsure"))
    assert first.endswith(".jpg")
    assert (tmp_path / "unsure" / first).read_bytes() == b"b.JPG"


def test_the_bytes_are_bounded(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path / "unsure"), Bounds(10, megabytes=0.0025))
    for number in range(4):
        path = picture(tmp_path, f"{number}.png", bytes([number]) * 1000)
        keeper.offer(path, (("cat", 0.5 + number / 100), ("dog", 0.5)))
    assert len(names(str(tmp_path / "unsure"))) == 2


def test_old_pictures_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, Bounds(5), [("a.png", 0.1)])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 15 * DAY)
    assert keep(tmp_path, Bounds(5), [("b.png", 0.2)]) == [0.2]


def test_equal_pictures_are_kept_once_and_leftovers_go(tmp_path: Path) -> None:
    folder = tmp_path / "unsure"
    folder.mkdir()
    (folder / "0.100000-1-0123456789abcdef.png.part").write_bytes(b"half")
    keeper = Keeper(str(folder), Bounds(5))
    for name in ("a.png", "b.png"):
        keeper.offer(picture(tmp_path, name, b"equal"), (("cat", 0.5), ("dog", 0.4)))
    assert len(list(folder.iterdir())) == 1


def test_a_picture_that_is_gone_already_is_left_out(tmp_path: Path) -> None:
    Keeper(str(tmp_path / "unsure"), Bounds(5)).offer(str(tmp_path / "gone.png"), (("cat", 1.0),))
    assert not names(str(tmp_path / "unsure"))


@pytest.mark.parametrize("bounds", [Bounds(-1), Bounds(1, megabytes=0), Bounds(1, days=0)])
def test_bounds_that_keep_nothing_are_refused(tmp_path: Path, bounds: Bounds) -> None:
    with pytest.raises(Failure, match="--keep"):
        Keeper(str(tmp_path), bounds)


def test_pages_of_names_and_what_is_forgotten(tmp_path: Path) -> None:
    keep(tmp_path, Bounds(5), [("a.png", 0.1), ("b.png", 0.2), ("c.png", 0.3)])
    folder = str(tmp_path / "unsure")
    (tmp_path / "unsure" / "notes.txt").write_text("not ours")
    first = sizes(folder, "", 2)
    assert list(first.values()) == [5, 5]
    assert len(sizes(folder, max(first), 2)) == 1
    assert forget(folder, [*first, "notes.txt", "../a.png"]) == 2
    assert (tmp_path / "unsure" / "notes.txt").exists()
    assert not sizes(str(tmp_path / "none"), "", 2)
