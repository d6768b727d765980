from pathlib import Path

from infra.board.agent.files import watch_outputs


def test_outputs_are_listed_in_pages(tmp_path: Path) -> None:
    sizes = {f"{number}.png": number for number in range(5)} | {"answers.jsonl": 7}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"x" * size)
    for name in (".hidden.png", "notes.txt", "new\nline.png", "C:1.png", "a.png.new"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    found: dict[str, int] = {}
    while page := watch_outputs(str(tmp_path), max(found, default=""), 2):
        assert len(page) <= 2
        found |= page
    assert found == sizes


def test_a_board_that_has_not_watched_lists_nothing(tmp_path: Path) -> None:
    assert watch_outputs(str(tmp_path / "absent"), "", 10) == {}
