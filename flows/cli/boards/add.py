"""`boards add` and `boards trust`: write boards and their host keys into the fleet file."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.boards.common import chain_of
from flows.cli.boards.keyring import give_keyring
from flows.cli.options import Profile, Set
from flows.cli.output import print_line
from infra.errors import Refused, UserError
from infra.home import fleet_file
from infra.ports.upkeep import Level, Step
from infra.settings import BoardSettings
from infra.settings.fleet import Value, edit_board, read_fleet

if TYPE_CHECKING:
    from infra.ports.upkeep import ManagedBoard

# Without these, nothing at all can be asked of a board.
_NEEDED = {Step.REACHABLE, Step.HOST_KEY, Step.ENTRY, Step.LOGIN, Step.PYTHON}
_ADDRESS = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9a-fA-F:]+\]|[^@:\s]+)(?::(?P<port>\d+))?")

Fingerprint = Annotated[
    str, typer.Option(help="Fingerprint of the host key, such as `SHA256:…`; without it you are asked.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Trust any host key; only for a private network.")]


def register(boards: typer.Typer) -> None:
    """Add the commands to the group."""
    boards.command(
        epilog="Examples: `atlasflow boards add porch HwHiAiUser@192.168.1.2 --key ~/.ssh/id_ed25519 --label home` · "
        "`atlasflow boards add toy --stand-in` · `atlasflow boards add pi --like orangepi-aipro`"
    )(add)
    boards.command(epilog="Example: `atlasflow boards trust porch`")(trust)


def add(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="A name of lower-case letters, digits and -.")],
    address: Annotated[str, typer.Argument(help="[USER@]HOST[:PORT].")] = "",
    key: Annotated[Path | None, typer.Option(help="Path of the private key.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="A label to select it by; repeatable.")] = None,
    python: Annotated[str, typer.Option(help="Python on the board.")] = "",
    environment: Annotated[str, typer.Option(help="Environment script of the toolkit on the board.")] = "",
    folder: Annotated[str, typer.Option(help="Folder of the releases on the board.")] = "",
    soc: Annotated[str, typer.Option(help="The chip; by default as the board reports.")] = "",
    as_root: Annotated[bool, typer.Option("--as-root", help="Allow a login as root.")] = False,
    stand_in: Annotated[bool, typer.Option("--stand-in", help="A stand-in on this machine.")] = False,
    like: Annotated[str, typer.Option(help="What the stand-in imitates, such as orangepi-aipro.")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Write the entry without a connection.")] = False,
    fingerprint: Fingerprint = "",
    yes: Yes = False,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Add a board to the fleet file: pin its host key, log in, and read its chip."""
    if bool(address) == (stand_in or bool(like)):
        raise UserError("the board has no address", hint="give [USER@]HOST[:PORT], or --stand-in, or --like")
    values = _entry(address, key, label) | _imitated(like)
    values |= {
        option: text
        for option, text in {"python": python, "environment": environment, "folder": folder, "soc": soc}.items()
        if text
    }
    values |= {"as_root": True} if as_root else {}
    if name in read_fleet(fleet_file()):
        raise UserError(f"{fleet_file()} has a board '{name}' already", hint="edit the file, or choose another name")
    if address and not offline:
        known = chain_of(profile, settings).settings.boards.get(name, BoardSettings())
        reach = known.model_copy(update=values)
        values["host_key"] = _pin(_board(name, reach), "", fingerprint, yes)
        checked = _board(name, reach.model_copy(update={"host_key": values["host_key"]})).check()
        if checked.wrong is not None and checked.wrong.step in _NEEDED:
            raise Refused(f"board {name}: {checked.wrong.found}", hint=checked.wrong.hint)
        for finding in checked.findings:
            if finding.level is not Level.GOOD:
                print_line(f"{finding.step}: {finding.found}")
                print_line(f"  → {finding.hint}")
        if not soc and checked.facts is not None and checked.facts.soc_version:
            values["soc"] = checked.facts.soc_version
    edit_board(fleet_file(), name, values, new=True)
    print_line(f"{name} is in {fleet_file()}")
    if address and not offline:
        given = give_keyring(chain_of(profile, settings), name)
        print_line(f"{name} runs what {', '.join(given['keys'])} sign, and nothing else")


def trust(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")],
    fingerprint: Fingerprint = "",
    yes: Yes = False,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Show the fingerprint of a board's host key, and pin the key after confirmation."""
    known = chain_of(profile, settings).settings.boards
    if name not in known:
        raise UserError(f"there is no board '{name}'", hint="`atlasflow boards list` shows them")
    if not known[name].address:
        raise UserError(f"board {name} is a stand-in on this machine; it needs no pinned key")
    key = _pin(_board(name, known[name]), known[name].host_key, fingerprint, yes)
    if key == known[name].host_key:
        print_line(f"{name}: this key is pinned already")
        return
    edit_board(fleet_file(), name, {"host_key": key})
    if chain_of(profile, settings).settings.boards[name].host_key != key:
        raise UserError(
            f"the key of {name} is written to {fleet_file()}, but the profile or the environment sets another one",
            hint=f"remove boards.{name}.host_key there",
        )
    print_line(f"{name}: pinned in {fleet_file()}")


def _entry(address: str, key: Path | None, labels: list[str] | None) -> dict[str, Value]:
    values: dict[str, Value] = {}
    if address:
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise UserError(f"'{address}' is not an address", hint="write [USER@]HOST[:PORT]")
        values["address"] = found["host"].strip("[]")
        values |= {"user": found["user"]} if found["user"] else {}
        values |= {"port": int(found["port"])} if found["port"] else {}
    if key is not None:
        if not key.expanduser().is_file():
            raise UserError(f"there is no key file {key}", hint="make one with ssh-keygen -t ed25519")
        values["key"] = str(key.expanduser().absolute())
    if labels:
        values["labels"] = tuple(labels)
    return values


def _imitated(like: str) -> dict[str, Value]:
    """What the entry of a stand-in says of the board that it imitates.

    Raises:
        UserError: there is no such profile.
    """
    if not like:
        return {}
    from infra.board.emulator.profiles import profile  # noqa: PLC0415 - a real board needs none

    return {"like": like, "soc": profile(like, "").soc_version}


def _board(name: str, settings: BoardSettings) -> "ManagedBoard":
    from infra.board.client import SshBoard  # noqa: PLC0415 - asyncssh takes a while to import

    return SshBoard(name, settings)


def _pin(board: "ManagedBoard", pinned: str, wanted: str, yes: bool) -> str:
    """Show the host key, compare it with the given fingerprint or let a person confirm it, and return the public key.

    Raises:
        Refused: the key is not the expected one, or not confirmed.
        UserError: there is no terminal to ask.
    """
    shown_key = board.host_key()
    key, shown = shown_key.public_key, shown_key.fingerprint
    if pinned and key == pinned:
        return pinned
    print_line(f"{board.name} shows the host key {shown}")
    if pinned:
        print_line("It differs from the pinned key: the board was reinstalled, or another machine answers.")
    if wanted and wanted != shown:
        raise Refused(f"board {board.name} shows {shown}, not {wanted}", hint="another machine may be answering")
    if not wanted and not yes:
        if not sys.stdin.isatty():
            raise UserError(
                "there is no terminal to confirm the fingerprint",
                hint=f"compare it with the board's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there), then "
                f"--fingerprint {shown}",
            )
        if not typer.confirm("Is it that of the board (there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)?"):
            raise Refused(f"the key of board {board.name} is not trusted")
    return key
