import errno
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import typer
from prefect.exceptions import PrefectHTTPStatusError
from typer.testing import CliRunner

from flows.cli import app as commands
from infra import errors


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`atlasflow ARGUMENTS` whose work is to raise an error; returns the exit code."""

    def run(error: Any, *arguments: Any) -> Any:
        def app(given: Any) -> None:
            assert "--debug" not in given
            raise error

        monkeypatch.setattr(commands, "app", app)
        monkeypatch.setattr(sys, "argv", ["atlasflow", *arguments])
        with pytest.raises(SystemExit) as left:
            commands.main()
        return left.value.code

    return run


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.AtlasFlowError, 1),
        (errors.UserError, 2),
        (errors.GateFailed, 3),
        (errors.Refused, 4),
        (errors.Transient, 5),
        (errors.Corrupt, 6),
    ],
)
def test_the_class_of_an_error_is_the_exit_code(
    command: Any, capsys: pytest.CaptureFixture[str], kind: Any, code: int
) -> None:
    assert command(kind("the bucket [red] is closed", hint="open it"), "run") == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: the bucket [red] is closed\n  → open it\n"


def test_a_full_disk_is_told_in_words(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(OSError(errno.ENOSPC, "No space left on device", "/somewhere"), "run") == 4
    assert "the disk is full" in capsys.readouterr().err


def test_a_database_without_room_is_a_full_disk(
    command: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "small.db")) as database:
        database.execute("CREATE TABLE rows (text)")
        database.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.Error) as full:
            database.execute("INSERT INTO rows VALUES (?)", ["x" * 100_000])
    wrapped = RuntimeError("the study could not be written")
    wrapped.__cause__ = full.value
    for error in (full.value, wrapped):
        assert command(error, "tune") == 4
        assert "the disk is full" in capsys.readouterr().err


def test_other_trouble_with_files_is_told_in_words(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(PermissionError(errno.EACCES, "Permission denied", "/somewhere"), "run") == 1
    said = capsys.readouterr().err
    assert "/somewhere" in said
    assert "who may read and write it" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_home_that_cannot_be_written_names_the_variable(
    command: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    assert command(OSError(number, "no", str(tmp_path / "home" / "runs" / "x")), "run") == 2
    assert "set ATLASFLOW_HOME to a folder of your own" in capsys.readouterr().err
    assert command(OSError(number, "no", str(tmp_path / "other")), "run") == 1


def test_a_prefect_server_that_went_away_is_worth_another_try(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(httpx.ConnectError("[Errno 111] Connection refused"), "retrain") == 5
    said = capsys.readouterr().err
    assert said.startswith("error: the Prefect server does not answer: [Errno 111] Connection refused")
    assert "fault" not in said


@pytest.mark.parametrize(
    ("status", "free", "code", "words"),
    [
        (500, 10**9, 5, "the Prefect server failed: 500 Internal Server Error"),
        (503, 10**9, 5, "the Prefect server failed: 503 Service Unavailable"),
        (500, 1000, 4, "the disk is full, so the Prefect server failed: 500"),
        (401, 1000, 4, "the Prefect server refuses: 401 Unauthorized"),
        (422, 10**9, 4, "the Prefect server refuses: 422"),
    ],
)
def test_an_error_that_the_prefect_server_answers(
    command: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    status: int,
    free: int,
    code: int,
    words: str,
) -> None:
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path))
    monkeypatch.setattr("flows.cli.app.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    answer = httpx.Response(status, request=httpx.Request("POST", "http://127.0.0.1:4200/api/flow_runs/"))
    with pytest.raises(httpx.HTTPStatusError) as raised:
        answer.raise_for_status()
    error = PrefectHTTPStatusError.from_httpx_error(raised.value)
    assert command(error, "retrain") == code
    assert capsys.readouterr().err.startswith(f"error: {words}")


def test_a_fault_of_ours_says_so(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(KeyError("x"), "run") == 1
    assert "a fault of AtlasFlow" in capsys.readouterr().err


def test_a_traceback_is_shown_on_request(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(errors.UserError("wrong"), "run", "--debug") == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "error: wrong" in said


def every_command(group: Any, words: Any = ()) -> Iterator[Any]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, (*words, name))
        else:
            yield (*words, name)


@pytest.mark.parametrize("words", list(every_command(typer.main.get_command(commands.app))), ids=" ".join)
def test_the_help_of_every_command_shows_an_example_of_it(words: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(commands.app, [*words, "--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert f"atlasflow {' '.join(words)}" in shown.output


def test_the_version_is_told() -> None:
    shown = CliRunner().invoke(commands.app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"atlasflow {metadata.version('atlasflow')}\n")


def test_every_command_stands_in_a_group_of_the_help() -> None:
    known = {name for names in commands.PANELS.values() for name in names}
    groups = {command.rich_help_panel for command in commands.app.registered_commands}
    groups |= {group.rich_help_panel for group in commands.app.registered_groups}
    assert groups == {*commands.PANELS, commands.OTHER}
    listed = set(typer.main.get_command(commands.app).commands)  # type: ignore[attr-defined]
    assert known <= listed


def test_without_a_command_the_commands_are_listed() -> None:
    shown = CliRunner().invoke(commands.app, [])
    for name in ("run", "status", "why", "verify", "gc", "up", "down", "doctor"):
        assert name in shown.output
