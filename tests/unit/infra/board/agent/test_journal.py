"""The journal of a board, also after a power cut in the middle of a line."""

from pathlib import Path

from infra.board.agent.journal import Journal


def test_a_torn_line_is_passed_over_and_the_journal_continued(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal.jsonl"))
    assert journal.entries() == []
    journal.note("switch", "a", smoke={"images": 4})
    with Path(journal.path).open("ab") as file:
        file.write(b'{"event": "swi')
    journal.note("switch", "b", smoke={})
    assert [(entry["event"], entry["release"]) for entry in journal.entries()] == [("switch", "a"), ("switch", "b")]


def test_the_last_smoke_test_of_a_release(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal.jsonl"))
    for images in (4, 8):
        journal.note("switch", "a", smoke={"images": images})
    journal.note("rollback", "a", reason="a test")
    journal.note("switch", "b", smoke={"images": 1})
    assert journal.last_smoke("a") == {"images": 8}
    assert journal.last_smoke("c") is None
