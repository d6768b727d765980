"""AtlasFlow from Python, over a chain of small stages and without a Prefect server."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import pipeline
from flows.project import project as module
from flows.project.page import page
from flows.project.project import Lines, Project
from infra.errors import GateFailed, Transient, UserError
from tasks.pipeline import NAMES
from tasks.reports import run as run_report


@pytest.fixture
def started(small: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Count what a run starts; stages are plain calls."""
    seen = SimpleNamespace(servers=0, threads=[])

    def start(*_: Any) -> None:
        seen.servers += 1

    def pass_gate(name: Any, decision: Any) -> None:
        if not decision.ok:
            raise GateFailed(decision.reason)

    def pipeline_of(chain: Any) -> Any:
        def run(request: Any) -> None:
            seen.threads.append(threading.current_thread())
            pipeline.run_stages(request, lambda *_: chain)

        return run

    monkeypatch.setattr(module, "open_chain", small.chain)
    monkeypatch.setattr("infra.prefect_server.server.start", start)
    monkeypatch.setattr(module, "use_server", lambda chain: None)
    monkeypatch.setattr(pipeline, "pipeline_of", pipeline_of)
    monkeypatch.setattr(pipeline, "run_stage", lambda chain, stage, force, title: chain.run(stage, force=force))
    monkeypatch.setattr(pipeline, "pass_gate", pass_gate)
    monkeypatch.setattr(run_report, "publish", lambda chain, record: None)
    return seen


def test_a_run_gives_what_it_made_as_values(started: Any, tmp_path: Path) -> None:
    run = Project(quiet=True).run()
    assert [item.outcome for item in run.stages] == ["ran"] * len(NAMES)
    assert run.accuracy == 0.9
    assert run.metrics is not None
    assert run.metrics.images == 1000
    assert run.release is not None
    assert run.release.id == "r1"
    assert run.deployment is not None
    assert list(run.deployment.boards) == ["laptop"]
    assert run.output("train", "out").read_text() == '{"stage": "train", "epochs": 30}'
    saved = run.save("train", "out", tmp_path / "mine" / "now")
    assert (saved.name, saved.read_text()) == ("out.json", run.output("train", "out").read_text())
    assert saved.stat().st_mode & 0o200
    assert not run.is_fresh
    assert started.servers == 1


def test_what_is_fresh_starts_nothing(started: Any) -> None:
    project = Project(quiet=True)
    project.run()
    again = project.run()
    assert again.is_fresh
    assert again.accuracy == 0.9
    assert started.servers == 1
    assert {state.state for state in project.states()} == {"fresh"}
    forced = project.run(force=["evaluate"])
    assert {item.stage: item.outcome for item in forced.stages}["evaluate"] == "ran"
    assert project.runs()[0].record == forced.record


def test_settings_are_values_of_python(started: Any) -> None:
    project = Project({"train.epochs": 3, "deploy.boards": ["laptop"], "tracking.enabled": False}, quiet=True)
    assert project.settings.train.overrides()["epochs"] == 3
    assert project.settings.deploy.boards == ("laptop",)
    assert not project.settings.tracking.enabled
    assert project.with_settings({"train.epochs": 4}).settings.train.overrides()["epochs"] == 4
    assert project.run(last="train").output("train", "out").read_text().endswith('"epochs": 3}')


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda project: project.run(["trian"]), "trian"),
        (lambda project: project.run(["train"], force=["export"]), "export is not among"),
        (lambda project: project.with_settings({"deploy.bords": "laptop"}), "deploy.bords"),
        (lambda project: project.run(last="train").output("train", "model"), "no output 'model'"),
    ],
)
def test_a_wrong_call_is_named(started: Any, wrong: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        wrong(Project(quiet=True))


def test_errors_are_those_of_the_command(started: Any, small: Any) -> None:
    small.broken["export"] = Transient("the network")
    project = Project(quiet=True)
    with pytest.raises(Transient, match="the network"):
        project.run()
    failed = project.runs()[0]
    assert failed.stages[-1].outcome == "failed"
    assert "Stopped at export" in page(failed)
    small.accuracy = 0.1
    with pytest.raises(GateFailed):
        project.run(force=["evaluate"])


def test_a_run_inside_an_event_loop_has_a_thread_of_its_own(started: Any) -> None:
    async def cell() -> Any:
        return Project(quiet=True).run()

    assert asyncio.run(cell()).accuracy == 0.9
    assert started.threads[0] is not threading.main_thread()


def test_a_notebook_shows_stages_receipts_and_results(started: Any, small: Any) -> None:
    shown = Project(quiet=True).run()._repr_html_()
    for part in ("<b>Done</b>", "90.00% of 1,000 images", "<code>r1</code>", "In service on laptop", "Stand-ins"):
        assert part in shown
    for stage in NAMES:
        assert f"<td>{stage}</td><td>ran</td>" in shown


def test_lines_are_printed_and_progress_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 1.0, 10.0, 11.0, 11.0])
    lines = Lines(lambda: next(times))
    lines.line("train", "starts")
    lines.progress("train", 1, 3, "epochs")
    lines.progress("train", 2, 3, "epochs")
    assert capsys.readouterr().out.splitlines() == ["train     starts", "train     2 of 3 epochs"]
