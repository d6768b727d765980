"""`boards keyring`: tell boards which keys they shall trust."""

from typing import Any

import typer

from flows.cli.boards.common import All, AtOnce, Label, Names, chain_of, chosen, on_each, show
from flows.cli.options import Json, Profile, Set
from infra.trust.keyring import read_keyring
from tasks.engine.chain import Chain


def register(boards: typer.Typer) -> None:
    """Add the command to the group."""
    boards.command(epilog="Examples: `atlasflow boards keyring porch` · `atlasflow boards keyring --all`")(keyring)


def keyring(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Give boards the keyring of this home: from now on they run what these keys sign, and nothing else."""
    chain = chain_of(profile, settings)
    rows = on_each(chosen(chain, names, label, everything), at_once, lambda name: give_keyring(chain, name))
    show(rows, {"board": "board", "fleet": "fleet", "trusts": "keys", "revoked": "revoked"}, as_json=as_json)


def give_keyring(chain: Chain, name: str) -> dict[str, Any]:
    """Give a board the keyring of this home."""
    address = chain.settings.boards[name].address
    chain.world.board(name).give_keyring(chain.world.board_keyring(name, stand_in=not address))
    known = read_keyring(chain.home).keys
    return {
        "fleet": chain.settings.release.fleet,
        "keys": [f"{key.name} {key.id[:12]}" for key in known if key.revoked is None],
        "revoked": [f"{key.name} {key.id[:12]}" for key in known if key.revoked is not None],
    }
