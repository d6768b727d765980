"""Logins as boards have them: other shells, no SFTP, one channel, login scripts that print."""

import getpass
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.board.client import SshBoard
from infra.board.emulator import service as emulator
from infra.errors import Refused
from infra.ports.upkeep import Level, Step
from infra.services import Services
from tests import openssh
from tests.contracts.board.site import NAME

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
ORIGINAL = '"$SSH_ORIGINAL_COMMAND"'

pytestmark = pytest.mark.skipif(bool(openssh.missing()), reason=openssh.missing())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Settings and folder of a stand-in board, whose programs an OpenSSH server of each test runs."""
    home = tmp_path_factory.mktemp("home")
    services = Services(home)
    emulator.service(services, home, NAME)
    return emulator.board_settings(services, home, NAME), home / "boards" / NAME


@contextmanager
def board(place: Any, first: str = "", sftp: str = SFTP_SERVER, **settings: str) -> Iterator[SshBoard]:
    given, folder = place
    with openssh.OpenSsh(folder, first, sftp) as port:
        yield SshBoard(NAME, given.model_copy(update={"port": port, "user": getpass.getuser(), **settings}))


def step(checked: Any, name: Step) -> Any:
    (finding,) = (item for item in checked.findings if item.step is name)
    return finding


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "fish", "csh", "tcsh", "zsh"])
def test_any_login_shell_does(place: Any, shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    with board(place, f"ForceCommand exec {path} -c {ORIGINAL}") as found:
        assert found.facts().emulated
        checked = found.check(None)
        assert [item.step for item in checked.findings if item.level is Level.WRONG] == []
        assert step(checked, Step.FILES).level is Level.GOOD


@pytest.mark.parametrize(
    "noise",
    [
        "echo Welcome to the board",
        "printf 'no end of line'",
        r"printf '\\033[1mbold\\n\\377\\n'",
        "seq 500",
    ],
)
def test_what_login_scripts_print_is_skipped(place: Any, noise: str) -> None:
    quiet = f"case {ORIGINAL} in *sftp*) ;; *) {noise} ;; esac; exec /bin/sh -c {ORIGINAL}"
    with board(place, f"ForceCommand {quiet}") as found:
        assert found.facts().emulated


@pytest.mark.parametrize(
    ("command", "said"),
    [("/usr/sbin/nologin", "not available"), ("echo only backups are allowed here", "only backups are allowed here")],
)
def test_an_account_without_a_shell_is_named(place: Any, command: str, said: str) -> None:
    with board(place, f"ForceCommand {command}") as found:
        with pytest.raises(Refused, match=f"runs no command for .*{said}") as caught:
            found.facts()
        assert "login shell" in caught.value.hint
        assert step(found.check(None), Step.PYTHON).level is Level.WRONG


def test_a_python_that_is_not_there_is_told_from_a_shell_that_is_not(place: Any) -> None:
    with board(place, python="python9") as found, pytest.raises(Refused, match=r"cannot run python9: .*not found"):
        found.facts()


def test_a_server_without_sftp_is_found_by_the_check(place: Any) -> None:
    with board(place, sftp="") as found:
        files = step(found.check(None), Step.FILES)
    assert (files.level, "has no SFTP" in files.found) == (Level.WRONG, True)
    assert "Subsystem sftp" in files.hint


def test_a_server_with_one_channel_is_found_by_the_check(place: Any) -> None:
    with board(place, "MaxSessions 1") as found:
        files = step(found.check(None), Step.FILES)
    assert (files.level, "one channel only" in files.found) == (Level.WRONG, True)
    assert "MaxSessions" in files.hint


def test_a_folder_that_cannot_be_written_is_found_by_the_check(place: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with board(place, folder=str(tmp_path / "file" / "atlasflow")) as found:
        files = step(found.check(None), Step.FILES)
    assert files.level is Level.WRONG
    assert "Not a directory" in files.found
