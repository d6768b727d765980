"""What goes beyond the contract: kills, faults of the server, odd boards."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.board.client import SshBoard
from infra.board.emulator import service as emulator
from infra.errors import Corrupt, Refused, Transient, UserError
from infra.faults import FaultPlan
from infra.ports.upkeep import LatencyReport
from infra.services import Services
from tests import boards

INSTALL = """
import sys
from pathlib import Path
from infra.board.client import SshBoard
from infra.faults import FaultPlan
from infra.settings import BoardSettings
from tests import boards
settings = BoardSettings.model_validate_json(sys.argv[1])
SshBoard("laptop", settings, FaultPlan.parse(sys.argv[2])).install(boards.release(Path(sys.argv[3]), "b", seed=7))
"""


class Counting(FaultPlan):
    """Notes which points a deployment reaches."""


def points(stand_in: Any, tmp_path: Path) -> Any:
    plan = Counting()
    SshBoard("laptop", stand_in.settings, plan).install(boards.release(tmp_path / "count", "count", seed=3))
    return sorted(plan.visits)


def test_every_step_has_a_fault_point(stand_in: Any, tmp_path: Path) -> None:
    steps = ["connect", "copied", "copy", "lock", "plan", "preflight", "settled", "smoke", "switch", "switched"]
    assert points(stand_in, tmp_path) == [f"board.{step}" for step in steps]


@pytest.mark.parametrize(
    "point", ["connect", "preflight", "lock", "plan", "copy#2", "copied", "settled", "smoke", "switch", "switched"]
)
def test_a_killed_client_leaves_a_working_release(stand_in: Any, tmp_path: Path, point: str) -> None:
    board = SshBoard("laptop", stand_in.settings)
    board.install(boards.release(tmp_path / "a", "a"))
    arguments = [stand_in.settings.model_dump_json(), f"kill@board.{point}", str(tmp_path / "killed")]
    killed = subprocess.run(
        [sys.executable, "-c", INSTALL, *arguments],
        cwd=boards.CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(boards.CHECKOUT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert board.state().active == ("b" if point == "switched" else "a")
    assert board.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")[0].top
    assert board.install(boards.release(tmp_path / "b", "b", seed=7)).changed == (point != "switched")
    assert board.state().active == "b"


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Any]:
    """Start a board whose server breaks as planned; returns its settings and a way to start it again, whole."""
    home = tmp_path / "home"
    services = Services(home)

    def start(faults: Any) -> Any:
        services.stop("board-laptop")
        services.start(emulator.service(services, home, "laptop", faults=faults))
        settings = emulator.board_settings(services, home, "laptop")
        boards.give_keyring(home / "boards" / "laptop" / "home" / settings.folder)
        return settings

    yield start
    services.stop("board-laptop")


@pytest.mark.parametrize("fault", ["kill@sshd.login", "kill@sshd.command", "kill@sshd.open#2", "kill@sshd.write#3"])
def test_a_board_that_dies_in_the_middle(faulty: Any, tmp_path: Path, fault: str) -> None:
    release, second = boards.release(tmp_path / "a", "a"), boards.release(tmp_path / "b", "b", seed=7)
    SshBoard("laptop", faulty("")).install(release)
    with pytest.raises(Transient):
        SshBoard("laptop", faulty(fault)).install(second)
    board = SshBoard("laptop", faulty(""))
    assert board.state().active == "a"
    assert board.install(second).changed


@pytest.mark.parametrize(("fault", "error"), [("full@sshd.write", Refused), ("cut@sshd.write", Transient)])
def test_a_board_that_cannot_store(faulty: Any, tmp_path: Path, fault: str, error: Any) -> None:
    release = boards.release(tmp_path / "a", "a")
    with pytest.raises(error) as caught:
        SshBoard("laptop", faulty(fault)).install(release)
    if error is Refused:
        assert "space" in caught.value.hint
    board = SshBoard("laptop", faulty(""))
    assert board.state().active is None
    assert board.install(release).changed


def test_bytes_that_change_on_the_way(stand_in: Any, tmp_path: Path) -> None:
    """The digest is taken on the board, of what is there."""
    release = boards.release(tmp_path / "a", "a")

    class Meddling(FaultPlan):
        def reach(self, point: Any) -> Any:
            if point == "board.copied":
                part = stand_in.root / "incoming" / "a" / "model.om.part"
                part.write_bytes(part.read_bytes()[:-1] + b"?")
            return super().reach(point)

    with pytest.raises(Corrupt, match=r"'model.om' did not arrive completely") as caught:
        SshBoard("laptop", stand_in.settings, Meddling()).install(release)
    assert "on this machine" not in caught.value.hint
    assert SshBoard("laptop", stand_in.settings).install(release).files_sent == 1


def test_a_busy_chip_is_worth_another_try(stand_in: Any, tmp_path: Path) -> None:
    script = stand_in.home / "boards" / "laptop" / "busy.sh"
    folder = stand_in.home / "boards" / "laptop" / "busy"
    folder.mkdir()
    (folder / "acl.py").write_text(
        "EMULATED = True\ndef get_soc_name():\n    return 'Ascend310'\ndef init():\n    return 207018\n"
    )
    script.write_text(f"export PYTHONPATH={folder}\n")
    settings = stand_in.settings.model_copy(update={"environment": str(script)})
    with pytest.raises(Transient, match="out of memory"):
        SshBoard("laptop", settings).install(boards.release(tmp_path / "a", "a"))
    assert SshBoard("laptop", stand_in.settings).state().active is None


def test_login_scripts_that_talk(stand_in: Any) -> None:
    script = stand_in.home / "boards" / "laptop" / "noise.sh"
    real = stand_in.root.parent / "Ascend" / "ascend-toolkit" / "set_env.sh"
    script.write_text(f'echo welcome; echo careful >&2; . "{real}"\n')
    settings = stand_in.settings.model_copy(update={"environment": str(script)})
    assert SshBoard("laptop", settings).facts().emulated


def test_a_missing_python_is_refused(stand_in: Any) -> None:
    settings = stand_in.settings.model_copy(update={"python": "python9"})
    with pytest.raises(Refused, match=r"cannot run python9.*not found"):
        SshBoard("laptop", settings).state()


def test_settings_that_cannot_work(stand_in: Any, tmp_path: Path) -> None:
    def board(**update: Any) -> Any:
        return SshBoard("laptop", stand_in.settings.model_copy(update=update))

    with pytest.raises(UserError, match="has no address"):
        board(address="").state()
    with pytest.raises(UserError, match="no key file"):
        board(key=str(tmp_path / "absent")).state()
    (tmp_path / "key").write_text("no key")
    with pytest.raises(UserError, match="cannot be used"):
        board(key=str(tmp_path / "key")).state()
    with pytest.raises(UserError, match="is not a public key"):
        board(host_key="ssh-ed25519 nonsense").state()


def test_status_has_the_journal(stand_in: Any, tmp_path: Path) -> None:
    board = SshBoard("laptop", stand_in.settings)
    board.install(boards.release(tmp_path / "a", "a"))
    board.install(boards.release(tmp_path / "b", "b", seed=7))
    status = board.status()
    assert (status.active, status.previous, status.probation) == ("b", "a", 8)
    assert [entry.event for entry in status.journal] == ["switch", "switch"]
    assert status.journal[0].smoke is not None
    assert status.journal[0].smoke.agreement == 1.0


def test_pull_fetches_the_files_of_watch(stand_in: Any, tmp_path: Path) -> None:
    board = SshBoard("laptop", stand_in.settings)
    assert board.pull(tmp_path / "empty").report == LatencyReport(0, 0)
    board.install(boards.release(tmp_path / "a", "a"))
    (tmp_path / "in").mkdir()
    for number in range(3):
        boards.picture(tmp_path / "in" / f"{number}.png", number)
    (tmp_path / "in" / "broken.png").write_bytes(b"x")
    watching = boards.run_agent(
        stand_in.root / "current", "watch", "--interval", "0.01", "--looks", "2", "--keep", "2", tmp_path / "in"
    )
    assert watching.returncode == 0, watching.stderr
    kept = board.collect(tmp_path / "kept")
    assert len(kept) == 2
    assert {path.read_bytes() for path in kept} < {path.read_bytes() for path in (tmp_path / "in").iterdir()}
    assert not board.collect(tmp_path / "kept")
    pulled = board.pull(tmp_path / "out")
    assert pulled.fetched == ("0.png", "1.png", "2.png", "answers.jsonl")
    assert (pulled.report.pictures, pulled.report.skipped) == (3, 1)
    report = pulled.report
    assert report.p50 is not None
    assert report.p99 is not None
    assert report.largest is not None
    assert 0 < report.p50 <= report.p99 <= report.largest
    again = board.pull(tmp_path / "out")
    assert (again.fetched, again.kept) == ((), 4)


def test_two_boards_have_nothing_in_common(running: Any) -> None:
    service = emulator.service(running.services, running.home, "other", soc_version="Ascend310B4", run_mode="host")
    running.services.start(service)
    try:
        settings = emulator.board_settings(running.services, running.home, "other")
        assert settings.host_key != running.settings.host_key
        assert SshBoard("other", settings).facts().soc_version == "Ascend310B4"
        stranger = settings.model_copy(update={"key": running.settings.key})
        with pytest.raises(Refused, match="does not accept the login"):
            SshBoard("other", stranger).state()
        wrong_user = settings.model_copy(update={"user": "root"})
        with pytest.raises(Refused, match="does not accept the login of root"):
            SshBoard("other", wrong_user).state()
    finally:
        running.services.stop(service.name)


def test_a_board_in_host_mode_classifies(running: Any, tmp_path: Path) -> None:
    service = emulator.service(running.services, running.home, "card", run_mode="host")
    running.services.start(service)
    try:
        settings = emulator.board_settings(running.services, running.home, "card")
        boards.give_keyring(running.home / "boards" / "card" / "home" / settings.folder)
        board = SshBoard("card", settings)
        board.install(boards.release(tmp_path / "a", "a"))
        assert board.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")[0].top
    finally:
        running.services.stop(service.name)


def test_the_stand_in_is_small_quick_and_private(running: Any) -> None:
    (status,) = (item for item in running.services.status() if item.name == "board-laptop")
    assert status.running
    assert "stand-in" in status.title
    assert status.memory < 100 * 2**20
    folder = running.home / "boards" / "laptop"
    for key in (folder / "host_key", running.home / "secrets" / "board-laptop"):
        assert key.stat().st_mode & 0o777 == 0o600


def test_commands_see_the_board_s_environment_only(running: Any) -> None:
    """Neither our variables nor our packages are there; `acl` comes with the sourced toolkit."""
    home = running.home / "boards" / "laptop"
    program = (
        "import importlib.util as util, json, os\n"
        "names = ('numpy', 'PIL', 'acl', 'prefect', 'infra')\n"
        "print(json.dumps([sorted(os.environ), [name for name in names if util.find_spec(name)]]))\n"
    )
    finished = subprocess.run(
        [home / "bin" / "python3", "-c", program], cwd=home, env={}, capture_output=True, text=True, check=True
    )
    variables, modules = json.loads(finished.stdout)
    assert modules == ["numpy", "PIL"]
    assert "ASCEND_TOOLKIT_HOME" not in variables


@pytest.mark.parametrize("name", ["", "../x", "a b", "x/y"])
def test_a_board_needs_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a board"):
        emulator.service(Services(tmp_path), tmp_path, name)


def test_commands_end_with_their_client_even_when_a_hang_up_was_ignored_before(faulty: Any, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        faulty("")
    finally:
        signal.signal(signal.SIGHUP, before)
    (server,) = (item for item in psutil.process_iter(["cmdline"]) if _serves(item, tmp_path / "home"))
    ignored = Path(f"/proc/{server.pid}/status").read_text().split("SigIgn:")[1].split()[0]
    assert not int(ignored, 16) >> (signal.SIGHUP - 1) & 1


def _serves(process: Any, home: Any) -> Any:
    words = process.info["cmdline"] or []
    return "infra.board.emulator.sshd" in words and any(word.startswith(str(home)) for word in words)
