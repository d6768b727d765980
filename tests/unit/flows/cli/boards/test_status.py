"""The commands for boards, on stand-ins over real SSH."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from infra.board.agent.observations import Recorder
from infra.board.emulator import service
from infra.errors import GateFailed, Refused, Transient, UserError
from infra.fleet import Fleet
from infra.services import Services
from infra.settings import load
from infra.settings.fleet import read_fleet
from infra.store.artifacts import folder_files
from tests import boards

pytestmark = pytest.mark.service

KEEP = ("ATLASFLOW_HOME", "ATLASFLOW_FLEET", "COLUMNS")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("home")
    services = Services(folder)
    for name in ("one", "two"):
        services.start(service.service(services, folder, name))
    yield folder
    for status in services.status():
        services.stop(status.name)


@pytest.fixture
def command(home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`atlasflow boards …` on a fleet of two stand-ins with release folders of this test's own."""
    monkeypatch.setenv("ATLASFLOW_HOME", str(home))
    monkeypatch.setenv("ATLASFLOW_FLEET", str(tmp_path / "boards.toml"))
    monkeypatch.setenv("COLUMNS", "200")
    entries = [f'[boards.{name}]\nfolder = "{tmp_path.name}"\nlabels = ["{name}"]\n' for name in ("one", "two")]
    (tmp_path / "boards.toml").write_text("".join(entries))

    def run(*words: Any, error: Any = None, answer: Any = None) -> Any:
        result = CliRunner().invoke(app.app, ["boards", *map(str, words)], input=answer)
        if error is None:
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            assert result.exit_code == 0, result.output
        else:
            assert isinstance(result.exception, error), result.output
        return SimpleNamespace(output=result.output, error=result.exception)

    command: Any = run
    command.file = tmp_path / "boards.toml"
    command.json = lambda *words, **options: json.loads(run(*words, "--json", **options).output)
    return command


@pytest.fixture
def deployed(command: Any, home: Any, tmp_path: Path) -> Any:
    """Releases a and b on both boards."""
    from infra.world import World

    world = World(load(), home)
    for identifier, seed in (("a", 0), ("b", 7)):
        release = boards.signed_by(
            world, boards.release_folder(tmp_path / "releases" / identifier, identifier, seed=seed)
        )
        for name in ("one", "two"):
            world.board(name).install(release)
    return world


def test_the_boards_are_listed_without_asking_them(command: Any) -> None:
    rows = {row["board"]: row for row in command.json("list")}
    assert set(rows) == {"laptop", "one", "two"}
    assert (rows["one"]["address"], rows["one"]["labels"]) == ("the stand-in", ["one"])
    assert "the stand-in" in command("list").output


def test_info_tells_what_boards_are(command: Any) -> None:
    rows = command.json("info", "--all")
    assert [(row["board"], row["soc_version"], row["emulated"]) for row in rows] == [
        ("one", "Ascend310", True),
        ("two", "Ascend310", True),
    ]
    assert "Ascend310" in command("info", "--label", "two").output


def test_check_prints_each_step(command: Any, tmp_path: Path) -> None:
    rows = command.json("check", "one")
    assert {row["level"] for row in rows} == {"good"}
    assert [row["step"] for row in rows][:3] == ["reachable", "host key", "login"]
    boards.release(tmp_path / "r", "r", soc_version="Ascend310B4")
    shown = command("check", "one", "--release", "--set", f"deploy.release={tmp_path / 'r'}", error=Refused)
    assert "release r is for Ascend310B4" in str(shown.error)
    assert "release r is for Ascend310B4" in shown.output


def test_the_exit_code_tells_the_class_of_the_trouble(command: Any) -> None:
    with command.file.open("a") as file:
        file.write('[boards.gone]\naddress = "127.0.0.1"\nport = 1\n')
    shown = command("check", "--all", error=Transient)
    assert "reachable" in shown.output
    rows = command.json("info", "--all", error=Transient)
    assert [row["board"] for row in rows if "problem" in row] == ["gone"]
    assert "soc_version" in rows[0]
    with command.file.open("a") as file:
        file.write('[boards.keyless]\naddress = "127.0.0.1"\nkey = "/nowhere/key"\n')
    assert "(2 of 4 boards failed)" in str(command("info", "--all", error=UserError).error)


def test_seen_compares_what_a_board_has_counted_with_its_release(command: Any, home: Any, tmp_path: Path) -> None:
    root = home / "boards" / "one" / "home" / tmp_path.name
    root.mkdir()
    watching = Recorder(str(root / "seen.json"), "watched", 10)
    for _ in range(300):
        watching.add(3, 0.9, [4.0, 120.0, 120.0])
    watching.flush()
    folder = boards.release_folder(tmp_path / "r", "watched")
    even = {name: [30] * 10 for name in ("class", "confidence", "red", "green", "blue")}
    (folder / "reference.json").write_text(json.dumps({"images": 300, "counts": even}))
    Fleet(home).keep(folder_files(folder)[1], "here")
    rows = {row["board"]: row for row in command.json("seen", "--all")}
    assert (rows["one"]["found"], rows["one"]["images"], rows["one"]["release"]) == ("drifted", 300, "watched")
    assert set(rows["one"]["indices"]) == set(even)
    assert (rows["two"]["found"], rows["two"]["message"]) == ("unknown", "it has not watched yet")
    shown = command("seen", "one").output
    assert "drifted" in shown
    assert "where 0.25 is the bound" in " ".join(shown.split())


@pytest.mark.parametrize("words", [("info",), ("info", "zz"), ("info", "--label", "zz"), ("info", "one", "--all")])
def test_which_boards_must_be_clear(command: Any, words: Any) -> None:
    command(*words, error=UserError)


def test_status_rollback_and_prune(command: Any, deployed: Any, home: Any) -> None:
    rows = command.json("status", "--all")
    assert [(row["active"], row["previous"], row["probation"]) for row in rows] == [("b", "a", 8)] * 2
    assert "switch b" in rows[0]["last"]
    assert command.json("rollback", "one")[0]["active"] == "a"
    assert Fleet(home).wanted()["one"] == "a"
    assert "rollback a" in command("status", "one").output
    folder = boards.release_folder(command.file.parent / "releases" / "c", "c", seed=9)
    release = boards.signed_by(deployed, folder)
    deployed.board("two").install(release)
    assert command.json("prune", "--all", "--keep", "0") == [
        {"board": "one", "removed": []},
        {"board": "two", "removed": ["a"]},
    ]
    shown = command("rollback", "one", "--set", "boards.one.folder=empty", error=Refused)
    assert "no previous release" in str(shown.error)


def test_a_board_that_gave_up_says_why(command: Any, deployed: Any, home: Any) -> None:
    Fleet(home).want("b", "two")
    deployed.board("two").rollback()
    assert "gave it up" not in command("status", "two").output
    journal = home / "boards" / "two" / "home" / command.file.parent.name / "journal.jsonl"
    text = journal.read_text().replace("an operator asked for it", "first live images failed")
    journal.write_text(text.replace('"operator"', '"watchdog"'))
    assert "gave it up: first live images failed" in command("status", "two").output
    shown = command("reconcile", "two", error=GateFailed)
    assert "gave it up" in shown.output


def test_pull_and_classify_bring_pictures(command: Any, deployed: Any, home: Any, tmp_path: Path) -> None:
    picture = boards.picture(tmp_path / "p.png")
    (row,) = command.json("classify", "one", picture, "--output", tmp_path / "out")
    assert row["class"]
    assert (row["top"][0]["class"], len(row["top"])) == (row["class"], 5)
    assert (tmp_path / "out" / "p.png").is_file()
    (tmp_path / "twice").mkdir()
    boards.picture(tmp_path / "twice" / "p.png")
    shown = command("classify", "one", tmp_path / "twice", picture, "--output", tmp_path / "out", "--caption", "inside")
    assert shown.output.count("images:") == shown.output.count("top5 inference results") == 2
    assert shown.output.count("label:") == 10
    with Image.open(tmp_path / "out" / "p-2.png") as written:
        assert written.size == (32, 32)
    (tmp_path / "broken.png").write_bytes(b"x")
    command("classify", "one", tmp_path / "broken.png", error=UserError)
    outputs = home / "boards" / "one" / "home" / tmp_path.name / "outputs"
    outputs.mkdir()
    (outputs / "p.png").write_bytes(b"picture")
    (outputs / "answers.jsonl").write_text('{"picture": "p.png", "milliseconds": 2.5}\n')
    said = command.json("pull", "one", "--output", tmp_path / "pulled")
    assert said["fetched"] == ["answers.jsonl", "p.png"]
    assert json.loads((tmp_path / "pulled" / "latency.json").read_text())["p50"] == 2.5
    assert "2 were there" in command("pull", "one", "--output", tmp_path / "pulled").output


def reach(home: Any) -> Any:
    """Address and key of a stand-in, as somebody would give them for a real board."""
    services = Services(home)
    settings = service.board_settings(services, home, "one")
    return f"{settings.user}@127.0.0.1:{settings.port}", settings.key, settings.host_key


def test_add_pins_logs_in_and_asks_for_the_chip(command: Any, home: Any) -> None:
    address, key, host_key = reach(home)
    shown = command("add", "porch", address, "--key", key, "--label", "home", error=UserError)
    assert "no terminal to confirm the fingerprint" in str(shown.error)
    assert "porch" not in read_fleet(command.file)
    fingerprint = str(shown.error).rsplit(" ", 1)[1]
    with pytest.raises(Refused, match="not SHA256:other"):
        raise command("add", "porch", address, "--key", key, "--fingerprint", "SHA256:other", error=Refused).error
    if os.geteuid() == 0:  # the stand-in's login is this process's user
        refused = command("add", "porch", address, "--key", key, "--fingerprint", fingerprint, error=Refused).error
        assert "the login HwHiAiUser is root's" in str(refused)
        assert "boards add --as-root" in refused.hint
    command("add", "porch", address, "--key", key, "--label", "home", "--fingerprint", fingerprint, "--as-root")
    entry = read_fleet(command.file)["porch"]
    assert entry["host_key"].split()[:2] == host_key.split()[:2]
    assert (entry["address"], entry["user"], entry["soc"], entry["labels"]) == (
        "127.0.0.1",
        "HwHiAiUser",
        "Ascend310",
        ["home"],
    )
    assert command.json("info", "porch")[0]["soc_version"] == "Ascend310"
    command("add", "porch", address, error=UserError)


def test_a_board_that_cannot_be_used_is_not_added(command: Any, home: Any) -> None:
    address, _, _ = reach(home)
    command("add", "porch", "127.0.0.1:1", "--yes", error=Transient)
    shown = command("add", "porch", address.replace("HwHiAiUser", "root"), "--yes", error=Refused)
    assert "does not accept the login of root" in str(shown.error)
    for words in (("add", "porch"), ("add", "porch", "a b"), ("add", "Porch", "--stand-in")):
        command(*words, error=UserError)
    assert "porch" not in read_fleet(command.file)


def test_add_offline_and_a_stand_in(command: Any) -> None:
    command("add", "roof", "pi@roof.example:2222", "--offline", "--soc", "Ascend310B4", "--python", "python3.9")
    assert read_fleet(command.file)["roof"] == {
        "address": "roof.example",
        "user": "pi",
        "port": 2222,
        "python": "python3.9",
        "soc": "Ascend310B4",
    }
    command("add", "toy", "--stand-in")
    assert load().boards["toy"].address == ""


def test_a_key_file_that_is_not_there_is_refused_without_a_connection_too(command: Any, tmp_path: Path) -> None:
    shown = command("add", "roof", "roof.example", "--key", str(tmp_path / "absent"), "--offline", error=UserError)
    assert "there is no key file" in str(shown.error)
    assert "roof" not in read_fleet(command.file)


def test_trust_pins_and_says_when_a_key_has_changed(command: Any, home: Any) -> None:
    address, key, host_key = reach(home)
    command("add", "porch", address, "--key", key, "--offline", "--as-root")
    assert "is unknown" in str(command("info", "porch", error=Refused).error)
    command("trust", "porch", error=UserError)
    command("trust", "porch", "--yes")
    assert read_fleet(command.file)["porch"]["host_key"].split()[1] == host_key.split()[1]
    assert "pinned already" in command("trust", "porch").output
    other = service.board_settings(Services(home), home, "two").host_key
    command.file.write_text(command.file.read_text().replace(host_key.split()[1], other.split()[1]))
    assert "has changed" in str(command("info", "porch", error=Refused).error)
    assert "differs from the pinned key" in command("trust", "porch", error=UserError).output
    command("trust", "porch", "--yes")
    assert command.json("info", "porch")
    shown = command("trust", "porch", "--yes", "--set", f"boards.porch.host_key={other}", error=UserError)
    assert "sets another one" in str(shown.error)
    command("trust", "one", error=UserError)
    command("trust", "zz", error=UserError)


def test_reconcile_puts_right_what_differs(command: Any, deployed: Any, home: Any) -> None:
    fleet = Fleet(home)
    from infra.store.artifacts import folder_files

    fleet.keep(folder_files(command.file.parent / "releases" / "a")[1], "here")
    fleet.want("a", "one")
    fleet.want("b", "two")
    rows = command.json("reconcile", "--all", "--dry-run")
    assert [row["found"] for row in rows] == ["differs", "as wanted"]
    rows = command.json("reconcile", "--all")
    assert [row["found"] for row in rows] == ["put right", "as wanted"]
    assert command.json("status", "one")[0]["active"] == "a"


def test_a_rollout_that_was_interrupted_comes_first(command: Any, home: Any) -> None:
    log = Fleet(home).rollout("99990101-000000-000-r1")
    policy = {"waves": [["one", "two"]], "max_failed": 0.0, "wait_seconds": 0.0, "pause": "never", "limit": 8}
    log.append({"event": "planned", "release": "r1", "policy": policy}, {"event": "started", "board": "one", "time": 0})
    kept = Fleet(home).folder / "releases" / "r1"
    boards.release_folder(kept, "r1")
    try:
        shown = command("reconcile", "--all", error=UserError)
        assert "was interrupted" in str(shown.error)
        assert [row["outcome"] for row in command.json("rollout", "show")] == ["running", "waiting"]
        (row,) = command.json("rollout", "undo")
        assert (row["board"], row["outcome"]) == ("one", "left alone")
        command("rollout", "undo", "--wave", "2", error=UserError)
    finally:
        log.path.unlink()
