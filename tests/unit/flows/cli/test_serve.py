import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import prefect
import pytest
import yaml

from flows.cli import app, deployments, serve
from infra.errors import UserError
from infra.home import CHECKOUT
from infra.prefect_server import server


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What the commands start, with a server that answers; nothing is really started."""
    programs = []

    def run(command: Any, **options: Any) -> Any:
        programs.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(server, "start", lambda services, home, settings: False)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "chdir", programs.append)
    monkeypatch.setattr(os, "execv", lambda path, words: programs.append(words))
    return programs


@pytest.mark.parametrize(("arguments", "health"), [([], []), (["--health-port", "8081"], ["--with-healthcheck"])])
def test_a_worker_is_prefect_s_own_process_in_the_checkout(
    started: list[Any], arguments: list[str], health: list[str]
) -> None:
    app.app(["worker", "--limit", "3", *arguments], standalone_mode=False)
    *_, pool, folder, worker = started
    assert pool[-3:] == ["--base-job-template", str(CHECKOUT / "infra" / "work-pool.json"), "--overwrite"]
    assert folder == CHECKOUT
    assert worker[:3] == [sys.executable, "-m", "prefect"]
    assert worker[3:] == ["worker", "start", "--pool", "atlasflow", "--type", "process", "--limit", "3", *health]
    assert (os.environ.get("PREFECT_WORKER_WEBSERVER_PORT") == "8081") == bool(health)


def of_schedule(text: Any) -> Any:
    (entry,) = (item for item in yaml.safe_load(text)["deployments"] if item["name"] == "retrain")
    return entry.get("parameters")


@pytest.mark.parametrize(("profile", "parameters"), [("local", None), ("twin", {"request": {"profile": "twin"}})])
def test_what_is_applied_has_the_profile_that_was_asked_for(
    started: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    profile: str,
    parameters: dict[str, Any] | None,
) -> None:
    applied = []

    def run(command: Any, **options: Any) -> Any:
        if "deploy" in command:
            applied.append(of_schedule(Path(command[command.index("--prefect-file") + 1]).read_text()))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(deployments, "prepare_server", lambda chain, named, settings: None)
    app.app(["deployments", "apply", "--profile", profile], standalone_mode=False)
    assert applied == [parameters]
    assert "deployments wait for workers of the pool atlasflow" in capsys.readouterr().out


def test_what_prefect_says_is_shown_when_it_fails(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: Any, **options: Any) -> Any:
        return subprocess.CompletedProcess(command, 1, "the pool is of another type\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UserError, match="failed with exit code 1"):
        app.app(["deployments", "apply"], standalone_mode=False)
    assert "the pool is of another type" in capsys.readouterr().err


def test_what_is_served_has_the_profile_that_was_asked_for_whatever_the_folder(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served = []
    (tmp_path / "own.toml").write_text("")
    monkeypatch.setattr(serve, "prepare_server", lambda chain, named, settings: None)
    monkeypatch.setattr("flows.deployments.read_timetables", dict)
    monkeypatch.setattr(prefect, "serve", lambda *deployments, **options: served.extend(deployments))
    app.app(["serve", "--profile", os.path.relpath(tmp_path / "own.toml")], standalone_mode=False)
    assert {item.parameters["request"]["profile"] for item in served} == {str(tmp_path / "own.toml")}


def test_a_server_elsewhere_that_does_not_answer_stops_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        api = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_API_URL", api)
    monkeypatch.setattr(sys, "argv", ["atlasflow", "worker"])
    with pytest.raises(SystemExit) as left:
        app.main()
    assert left.value.code == 5
    said = capsys.readouterr().err
    assert api in said
    assert "unset PREFECT_API_URL" in said
    assert not (tmp_path / "home" / "services").exists()
