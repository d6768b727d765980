import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.text import Text

from flows.cli import output

ROWS = [("train", "fresh (stand-in)", "settings epochs: 30 → 3, and a few more words"), ("deploy", "stale", "x")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Standard output as a terminal of 40 columns without colors."""
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "40", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größer 日本　語 ×", "größer 日本　語 ×"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\x7f\x9b", "a\\nb\\x7f\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert output.printable(text) == shown


def test_a_piped_table_is_plain_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("stage", "state", "why"), [("train", "fresh", "w" * 300), ("日本", "stale", "")])
    assert capsys.readouterr().out.splitlines() == [
        "stage  state  why",
        "train  fresh  " + "w" * 300,
        "日本   stale",
    ]


def test_a_table_on_a_terminal_wraps_between_words(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_table(("stage", "state", "why"), ROWS)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("\x1b[1mstage")
    assert max(map(len, lines)) <= 40
    words = " ".join(lines).split()
    assert {"settings", "epochs:", "(stand-in)", "deploy"} <= set(words)


def test_words_that_do_not_fit_beside_each_other_become_blocks(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_table(("name", "key", "note"), [("a", "k" * 64, "x"), ("b", "k" * 64, "")])
    assert capsys.readouterr().out.splitlines() == [
        "name  a",
        f"key   {'k' * 64}",
        "note  x",
        "",
        "name  b",
        f"key   {'k' * 64}",
    ]


def test_words_of_state_are_colored_on_a_terminal_unless_no_color_is_set(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_table(("state", "why"), [("stale", Text("broken", "red"))])
    assert "\x1b[3" not in capsys.readouterr().out
    terminal.delenv("NO_COLOR")
    output.print_table(("state", "why"), [("stale", Text("broken", "red"))])
    printed = capsys.readouterr().out
    assert "\x1b[33mstale" in printed
    assert "\x1b[31mbroken" in printed


def test_cells_are_one_line_without_markup_and_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("", ""), [("[red]x[/]\n  → hint", "\x1b[2Jgone")])
    assert capsys.readouterr().out == "[red]x[/] → hint  \\x1b[2Jgone\n"


def test_numbers_are_aligned_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("size", "name"), [("1", "a"), ("1,000", "b")], right=("size",))
    assert capsys.readouterr().out.splitlines() == [" size  name", "    1  a", "1,000  b"]


def test_lines_and_facts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_line(f"[bold]{'word ' * 40}\x1b", error=True)
    output.print_facts([("name", "a"), ("id", "b")])
    printed = capsys.readouterr()
    assert printed.err == f"[bold]{'word ' * 40}\\x1b\n"
    assert printed.out == "name  a\nid    b\n"


def test_many_lines_are_printed_without_their_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_text("epoch\t1\r\n\x1b]0;title\x07\n")
    output.print_error("first\n  → \x1b[2J")
    printed = capsys.readouterr()
    assert printed.out == "epoch   1\n\\x1b]0;title\\x07\n"
    assert printed.err == "error: first\n  → \\x1b[2J\n"


def test_json_is_ascii_and_knows_dataclasses_and_paths(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Fact:
        name: str
        where: Path
        values: tuple[int, ...]

    output.print_json([Fact("größe\x1b\x7f", Path("a/b"), (1, 2)), {"more": iter((3,))}])
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert printed.replace("\n", "").isprintable()
    assert json.loads(printed) == [{"name": "größe\x1b\x7f", "where": "a/b", "values": [1, 2]}, {"more": [3]}]
    with pytest.raises(TypeError, match="object is not JSON"):
        output.print_json(object())
