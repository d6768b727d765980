import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from infra.errors import UserError
from infra.tracking import repository
from infra.web import server


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in an empty home; gives its output, or raises its error."""
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: Any) -> Any:
        return CliRunner().invoke(app.app, words, catch_exceptions=False).output

    return run


def test_without_gradio_one_sentence_says_what_to_install(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "installed", lambda: False)
    with pytest.raises(UserError, match=r"Gradio is not installed\n.*make dev"):
        invoke("demo")


def test_without_aim_one_sentence_says_what_to_install(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "installed", lambda: False)
    with pytest.raises(UserError, match=r"Aim is not installed\n.*make dev"):
        invoke("aim")


def test_without_a_model_the_stage_to_run_is_named(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "installed", lambda: True)
    with pytest.raises(UserError, match=r"download has no result(.|\n)*atlasflow run --to export"):
        invoke("demo")


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])  # noqa: S104
def test_letting_others_in_is_warned_of(invoke: Any, monkeypatch: pytest.MonkeyPatch, host: str, warned: bool) -> None:
    seen = []

    @contextmanager
    def opened(chain: Any, boards: Any) -> Iterator[Any]:
        seen.append(boards)
        yield "the page"

    def serve(page: Any, host: Any, port: Any, token: Any, on_start: Any) -> None:
        seen.append((page, host, port))
        on_start(f"http://{host}:1234/?token={token}")

    monkeypatch.setattr(server, "installed", lambda: True)
    monkeypatch.setattr("tasks.demo.opened", opened)
    monkeypatch.setattr(server, "serve", serve)
    said = invoke("demo", "--host", host, "--port", "1234", "--no-board")
    assert seen == [[], ("the page", host, 1234)]
    assert ("everybody who reaches" in said) is warned
    assert re.search(rf"http://{host}:1234/\?token=.{{32}} ", said)
    assert said.endswith("demo: stopped\n")
