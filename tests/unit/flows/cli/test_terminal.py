import io
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from flows.cli import run as running
from flows.cli import terminal
from flows.cli.fresh_run import FreshStage
from flows.cli.options import parse_overrides
from flows.cli.terminal import TerminalReporter, show_result
from infra.errors import UserError
from infra.store import fresh_cache
from infra.store.runs import Outcome, RunRecord, Runs, StageRecord
from tasks.pipeline import NAMES


@pytest.fixture
def run(small: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`atlasflow run WORDS`: what it handed to Prefect, or None when it handed nothing over."""
    handed = []
    monkeypatch.setattr("flows.cli.terminal.run_with_prefect", lambda chain, *request: handed.append(request))

    def call(*words: Any, **options: Any) -> Any:
        handed.clear()
        monkeypatch.setattr(sys, "argv", ["atlasflow", "run", *words])
        running.run(**options)
        return handed[0] if handed else None

    return call


@pytest.mark.parametrize("error", [None, UserError("stopped")])
def test_a_run_has_its_summary_though_others_began_meanwhile(
    small: Any, monkeypatch: pytest.MonkeyPatch, error: UserError | None
) -> None:
    """The runs of other processes in the same home, more than a few during a long run, do not hide it."""
    runs, shown = Runs(small.folder), []

    @contextmanager
    def server(*_: object) -> Iterator[str]:
        yield "http://server"

    def pipeline_of(_chain: object) -> Any:
        def pipeline(_request: object) -> None:
            runs.save(own := runs.begin("local"))
            for number in range(9):
                runs.save(RunRecord(f"{own.id}9-{number}", own.started, "local"))
            if error is not None:
                raise error

        return pipeline

    runs.save(runs.begin("old"))  # of an earlier process with the same id
    monkeypatch.setattr(terminal, "under_prefect", server)
    monkeypatch.setattr(
        terminal, "show_result", lambda _chain, record, address: shown.append((record.profile, address))
    )
    monkeypatch.setitem(sys.modules, "flows.pipeline", SimpleNamespace(pipeline_of=pipeline_of))
    requests = SimpleNamespace(RunRequest=None, parse_request=lambda *_: None)
    monkeypatch.setitem(sys.modules, "flows.requests", requests)
    with nullcontext() if error is None else pytest.raises(UserError):
        terminal.run_with_prefect(small.chain(), "local", {}, (), ())
    assert shown == [("local", "http://server")]


def test_a_chain_that_never_ran_goes_to_prefect(run: Any) -> None:
    assert run() == ("local", {}, NAMES, ())


def test_a_fresh_chain_is_shown_and_nothing_else(run: Any, small: Any, capsys: pytest.CaptureFixture[str]) -> None:
    small.make_all()
    assert run() is None
    assert "Everything is fresh" in capsys.readouterr().out
    assert small.ran == list(NAMES)


def test_a_part_that_is_fresh_is_enough_when_only_it_is_asked_for(
    run: Any, small: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = small.chain()
    chain.run(chain.stages["download"])
    assert run(last="download") is None
    shown = capsys.readouterr().out
    assert "download" in shown
    assert "deploy" not in shown
    assert run(last="upload") == ("local", {}, ("download", "upload"), ())


@pytest.mark.parametrize("options", [{"force": ["train"]}, {"record": True}, {"settings": ["train.epochs=3"]}])
def test_what_needs_a_run_goes_to_prefect(run: Any, small: Any, options: Any) -> None:
    small.make_all()
    _, overrides, selected, forced = run(**options)
    assert selected == NAMES
    assert forced == tuple(options.get("force", ()))
    assert overrides == ({"train.epochs": "3"} if "settings" in options else {})


def test_a_gate_that_would_stop_a_fresh_chain_goes_to_prefect(run: Any, small: Any) -> None:
    small.accuracy = 0.4
    small.make_all()
    assert run() is not None
    assert run(settings=["evaluate.min_accuracy=0.3"]) is None
    assert run(last="train") is None, "the gate comes later"


def test_prove_asks_the_world_and_says_what_it_puts_right(
    run: Any, small: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    small.make_all()
    small.gone.add("publish")
    assert run() is None
    assert "is gone" not in capsys.readouterr().out
    assert run("--prove", prove=True) is None
    assert "publish   starts: publish is gone" in capsys.readouterr().out
    assert small.ran == [*NAMES, "publish"]
    assert run("--prove", prove=True) is None
    assert small.ran == [*NAMES, "publish"]


def test_prove_looks_only_at_what_was_asked_for(run: Any, small: Any) -> None:
    small.make_all()
    small.gone.add("deploy")
    assert run("--prove", prove=True, last="publish") is None
    assert small.ran == list(NAMES)


def settle(folder: Any) -> None:
    """Make every file of a home old enough for a verdict to rest on it."""
    newest = max(path.stat().st_ctime_ns for path in folder.rglob("*"))
    while time.time_ns() < newest + 50_000_000:
        time.sleep(0.005)


@pytest.fixture
def remembered(small: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What the next run would recall; no file of this machine that others may touch meanwhile counts."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setattr(fresh_cache, "_code_files", list)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tools))
    monkeypatch.setattr(shutil, "which", lambda name: None)

    def recall(*words: Any) -> Any:
        return fresh_cache.recall(small.folder, list(words))

    return recall


def test_a_verdict_is_remembered_for_the_same_words(run: Any, small: Any, remembered: Any) -> None:
    small.make_all()
    settle(small.folder)
    assert remembered() is None
    run("--to", "train", last="train")
    answer = remembered("--to", "train")
    assert [FreshStage(*values).stage for values in answer["stages"]] == list(NAMES[:3])
    assert remembered() is None


def test_a_verdict_rests_on_the_profile_and_the_secret_files(
    run: Any, small: Any, remembered: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile, secrets = tmp_path / "own.toml", tmp_path / "secrets"
    profile.write_text("[train]\nepochs = 3\n")
    secrets.mkdir()
    (secrets / "OBS__BUCKET").write_text("bucket")
    monkeypatch.setenv("ATLASFLOW_SECRETS_DIR", str(secrets))
    small.make_all(**{"train.epochs": "3"})
    settle(tmp_path)

    def judge() -> None:
        assert run("--profile", str(profile), profile=str(profile)) is None
        assert remembered("--profile", str(profile)) is not None

    judge()
    os.utime(secrets / "OBS__BUCKET")
    assert remembered("--profile", str(profile)) is None
    settle(tmp_path)
    judge()
    profile.write_text("[train]\nepochs = 4\n")
    assert remembered("--profile", str(profile)) is None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (None, {}),
        (["train.epochs=3", "obs.bucket = b "], {"train.epochs": "3", "obs.bucket": "b"}),
        (["data.source=https://example.org/?a=b"], {"data.source": "https://example.org/?a=b"}),
        (["train.epochs=3", "train.epochs=4"], {"train.epochs": "4"}),
    ],
)
def test_settings_are_read_from_the_command_line(texts: Any, expected: Any) -> None:
    assert parse_overrides(texts) == expected


def test_a_text_without_an_equals_sign_is_refused() -> None:
    with pytest.raises(UserError, match="'train' is not a setting"):
        parse_overrides(["train"])


def test_a_forced_stage_must_be_among_those_that_run(run: Any) -> None:
    with pytest.raises(UserError, match="--force export is not among"):
        run(last="train", force=["export"])


def test_a_board_that_nobody_knows_is_told_before_anything_starts(run: Any) -> None:
    with pytest.raises(UserError, match="there is no board 'latpop'; did you mean 'laptop'"):
        run(settings=['deploy.boards=["latpop"]'])
    assert run(settings=['deploy.boards=["latpop"]'], last="train") is not None, "no board is asked for so far"


@pytest.mark.parametrize(("outcome", "shown"), [("ran", True), ("reused", False)])
def test_links_are_shown_for_what_was_published_just_now(
    small: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], outcome: Outcome, shown: bool
) -> None:
    published = small.make_all().known["publish"]
    monkeypatch.setattr("tasks.reports.run.published_links", lambda chain: {"model.onnx": chain.known["publish"].key})
    record = RunRecord("1", 0.0, "local", [StageRecord("publish", published.key, outcome, "", 1.0)])
    show_result(small.chain(), record, "http://127.0.0.1:4200")
    said, links = capsys.readouterr().out, small.folder / "links.txt"
    assert published.key not in said
    assert (f"{links}: to 1 published files, for 24 hours" in said) == links.exists() == shown
    if shown:
        assert links.read_text() == f"model.onnx\t{published.key}\n"
        assert links.stat().st_mode & 0o777 == 0o600


def test_a_run_ends_with_what_it_reached_and_what_to_do_next(small: Any, capsys: pytest.CaptureFixture[str]) -> None:
    chain = small.make_all()
    stages = [StageRecord(name, receipt.key, "reused", "", 1.0) for name, receipt in chain.known.items()]
    show_result(small.chain(), RunRecord("1", 0.0, "local", stages), "http://127.0.0.1:4200")
    said = capsys.readouterr().out
    for words in ("accuracy ", "confusion matrix", "release ", "in service on", "atlasflow demo"):
        assert words in said


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A reporter that prints to a pipe, with its clock and its text."""
    clock = SimpleNamespace(now=100.0)
    pipe = io.StringIO()
    made = TerminalReporter(Console(file=pipe, width=80), lambda: clock.now)
    return SimpleNamespace(made=made, clock=clock, said=pipe.getvalue)


def test_a_pipe_gets_a_line_of_progress_every_ten_seconds(reporter: Any) -> None:
    for second in range(31):
        reporter.clock.now = 100.0 + second
        reporter.made.progress("train", second, 60, "epochs")
    lines = reporter.said().splitlines()
    assert [line.split()[1] for line in lines] == ["10", "20", "30"]
    assert lines[-1] == "train     30 of 60 epochs, about 30 s left"


def test_ci_is_no_terminal_to_draw_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert TerminalReporter(Console(force_terminal=True)).bars.disable
    monkeypatch.delenv("CI")
    assert not TerminalReporter(Console(force_terminal=True)).bars.disable
