"""The stand-in board as a person reaches it, with OpenSSH's own programs."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from flows.cli.boards.ssh_config import entry
from infra.board.emulator import service as emulator
from infra.board.emulator.sshd import Board
from infra.faults import FaultPlan
from infra.services import Services

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(shutil.which("scp") is None, reason="OpenSSH's client is not installed"),
]

Run = Callable[..., "subprocess.CompletedProcess[str]"]
EXPORT = "export PYTHONPATH=/usr/local/Ascend/pyACL/python/site-packages/acl:$PYTHONPATH"
CHIP = 'python3 -c "import acl; print(acl.get_soc_name())"'


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("home")
    found = Services(home)
    found.start(emulator.service(found, home, "toy"))
    yield found
    found.stop("board-toy")


@pytest.fixture(scope="module")
def board_home(services: Services) -> Path:
    return services.folder.parent / "boards" / "toy" / "home"


@pytest.fixture(scope="module")
def run(services: Services) -> Run:
    """Runs a program of OpenSSH, which knows the board as `toy` and by its usual address."""
    home = services.folder.parent
    settings = emulator.board_settings(services, home, "toy")
    known = home / "known"
    known.write_text(f"* {settings.host_key}\n")
    config = home / "board.conf"
    config.write_text(entry(["toy", "192.168.1.2"], settings, known) + "\n")

    def call(program: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [program, "-F", config, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    return call


@pytest.mark.parametrize("protocol", [(), ("-O",)], ids=["sftp", "scp"])
@pytest.mark.parametrize("place", ["", "/home/HwHiAiUser/", "~/"])
def test_scp_ends_well(run: Run, board_home: Path, tmp_path: Path, protocol: tuple[str, ...], place: str) -> None:
    (tmp_path / "model.om").write_bytes(b"om")
    (board_home / "model.om").unlink(missing_ok=True)
    done = run("scp", *protocol, str(tmp_path / "model.om"), f"HwHiAiUser@192.168.1.2:{place}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (board_home / "model.om").read_bytes() == b"om"
    done = run("scp", *protocol, f"toy:{place}model.om", str(tmp_path / "back.om"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back.om").read_bytes() == b"om"


def test_scp_of_what_is_not_there_fails(run: Run, tmp_path: Path) -> None:
    assert run("scp", "toy:/home/HwHiAiUser/absent", str(tmp_path)).returncode == 1
    assert run("scp", "toy:/home/HwHiAiUserX/absent", str(tmp_path)).returncode == 1


def test_commands_see_the_home_of_a_real_board(run: Run, board_home: Path) -> None:
    done = run("ssh", "toy", "mkdir -p /home/HwHiAiUser/HIAI_PROJECTS && cd /home/HwHiAiUser && pwd && exit 7")
    assert (done.returncode, done.stdout) == (7, f"{board_home}\n")
    assert (board_home / "HIAI_PROJECTS").is_dir()
    assert (
        run("ssh", "toy", "echo /home/HwHiAiUser2 a/home/HwHiAiUser").stdout == "/home/HwHiAiUser2 a/home/HwHiAiUser\n"
    )


@pytest.mark.parametrize("folder", ["/srv/toy", "/home/HwHiAiUser/flow/toy"])
def test_only_paths_of_the_board_are_mapped(folder: str) -> None:
    board = Board(Path(folder), "HwHiAiUser", FaultPlan())
    home = f"{folder}/home"
    mapped = {"/home/HwHiAiUser": home, "/home/HwHiAiUser/a": f"{home}/a", "/home/HwHiAiUsers/a": "/home/HwHiAiUsers/a"}
    mapped |= {f"{home}/a": f"{home}/a", "a": "a", "/srv/home/HwHiAiUser": "/srv/home/HwHiAiUser"}
    for path, there in mapped.items():
        assert board.command(f"cat '{path}'") == f"cat '{there}'"
        assert board.path(path.encode()).decode().rstrip("/") == there
    assert board.command(None) is None


def test_bashrc_counts_as_on_ubuntu(run: Run, board_home: Path) -> None:
    bashrc = board_home / ".bashrc"
    original = bashrc.read_text()
    assert run("ssh", "toy", CHIP).returncode == 1, "nothing is exported yet"
    bashrc.write_text(f"{original}{EXPORT}\n")
    assert run("ssh", "toy", CHIP).returncode == 1, "a shell that is not interactive has left the file before"
    login = run("ssh", "-tt", "toy", stdin=f"{CHIP}\nexit 3\n")
    assert "\nAscend310" in login.stdout.replace("\r", "")
    assert login.returncode == 3
    bashrc.write_text(f"{EXPORT}\n{original}")
    assert run("ssh", "toy", CHIP).stdout == "Ascend310\n"
    bashrc.write_text(original)


def test_a_terminal_ends_with_its_input(run: Run) -> None:
    assert run("ssh", "-tt", "toy", "tty; cat", stdin="word\n").stdout.count("/dev/pts/") == 1


async def _login(settings: Any, password: str) -> str:
    async with asyncssh.connect(
        *(settings.address, settings.port), username=settings.user, password=password, known_hosts=None, config=None,
        client_keys=[], agent_path=None, preferred_auth="password",
    ) as connection:  # fmt: skip
        return str((await connection.run("echo in")).stdout)


def test_a_password_counts_only_where_one_is_set(services: Services, board_home: Path) -> None:
    home = services.folder.parent
    settings = emulator.board_settings(services, home, "toy")
    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(_login(settings, "secret word"))
    emulator.service(services, home, "toy", password="secret word")
    assert asyncio.run(_login(settings, "secret word")) == "in\n"
    assert "secret word" not in (board_home.parent / "password").read_text()
    for wrong in ("", "secret", "secret word "):
        with pytest.raises(asyncssh.PermissionDenied):
            asyncio.run(_login(settings, wrong))
    emulator.service(services, home, "toy")
    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(_login(settings, "secret word"))
