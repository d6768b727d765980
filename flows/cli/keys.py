"""`atlasflow keys`: the keys that sign releases."""

import time
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line, print_table
from infra.errors import UserError
from infra.home import home
from infra.settings import load
from infra.trust.keyring import DEVELOPMENT, Kind, TrustedKey, add_key, changing, read_keyring, revoke_key

keys = typer.Typer(help="Make, list and revoke the keys that sign releases.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of lower-case letters, digits and -.")]
Target = Annotated[Path | None, typer.Option("--file", help="Where to write the private key; outside of the home.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(keys, name="keys", epilog="Example: `atlasflow keys list`")


@keys.command(epilog="Example: `atlasflow keys new factory --file /media/stick/factory.pem`")
def new(
    name: Name,
    file: Target = None,
    token: Annotated[str, typer.Option(help="A key in a token: its `pkcs11:` address.")] = "",
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Make a release key, or take one that is in a token; ATLASFLOW_RELEASE__PASSPHRASE encrypts the file."""
    if name == DEVELOPMENT:
        raise UserError(f"'{name}' is the key that AtlasFlow makes itself", hint="choose another name")
    if read_keyring(home()).named(name):
        raise UserError(f"there is a key '{name}' already", hint=f"`atlasflow keys rotate {name}` replaces it")
    _make(name, Kind.RELEASE, file, token, _passphrase(profile, settings))


@keys.command("list", epilog="Example: `atlasflow keys list --json`")
def list_keys(as_json: Json = False) -> None:
    """List the keys of this home: what they may sign, and which are revoked."""
    found = read_keyring(home()).keys
    if as_json:
        print_json(found)
        return
    rows = [
        (key.name, key.id[:12], key.kind, _day(key.created), "here" if key.source else "elsewhere", _state(key))
        for key in found
    ]
    print_table(("name", "id", "signs", "made", "private half", "state"), rows)


@keys.command(epilog="Example: `atlasflow keys rotate factory`")
def rotate(
    name: Name,
    file: Target = None,
    token: Annotated[str, typer.Option(help="The new key in a token: its `pkcs11:` address.")] = "",
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Make a new key of a name; the former ones still verify what they signed, until they are revoked."""
    known = read_keyring(home()).named(name)
    if not known:
        raise UserError(f"there is no key '{name}'", hint="`atlasflow keys list` shows them")
    _make(known[-1].name, known[-1].kind, file, token, _passphrase(profile, settings))
    print_line("give it to the boards before the next release: `atlasflow boards keyring --all`")


@keys.command(epilog="Example: `atlasflow keys revoke 3f2a90bc --why 'laptop stolen'`")
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of keys, or the first digits of an id.")],
    why: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
) -> None:
    """Revoke keys: boards run nothing that they signed, as soon as they have the new keyring."""
    with changing(home()):
        for key in revoke_key(home(), name, why):
            print_line(f"{key.name} {key.id[:12]} is revoked")
    print_line("tell the boards: `atlasflow boards keyring --all`; then publish again: `atlasflow run --force`")


@keys.command("import", epilog="Example: `atlasflow keys import factory factory.pub`")
def import_key(name: Name, file: Annotated[Path, typer.Argument(help="A public key in PEM form.")]) -> None:
    """Trust the releases that another machine signs: add its public key."""
    from infra.trust.signer import public_half  # noqa: PLC0415 - cryptography loads slowly

    if not file.is_file():
        raise UserError(f"there is no file {file}", hint="check the path")
    with changing(home()):
        key = TrustedKey.of(name, Kind.RELEASE, public_half(file), "")
        add_key(home(), key)
    print_line(f"{name} {key.id[:12]} is in the keyring; `atlasflow boards keyring` gives it to boards")


@keys.command(epilog="Example: `atlasflow keys export factory > factory.pub`")
def export(name: Name) -> None:
    """Print the newest public key of a name, for other machines."""
    found = [key for key in read_keyring(home()).named(name) if key.revoked is None]
    if not found:
        raise UserError(f"there is no key '{name}' that counts", hint="`atlasflow keys list` shows them")
    print(found[-1].public, end="")


def _make(name: str, kind: Kind, file: Path | None, token: str, passphrase: str) -> None:
    from infra.trust.signer import PKCS11, new_key, token_public_key  # noqa: PLC0415 - cryptography loads slowly

    if token:
        if not token.startswith(PKCS11):
            raise UserError(f"'{token}' is no address of a token", hint="write pkcs11:object=NAME (RFC 7512)")
        key = TrustedKey.of(name, kind, token_public_key(token, passphrase), token)
        with changing(home()):
            add_key(home(), key)
    else:
        number = len(read_keyring(home()).named(name))
        default = home() / "secrets" / f"signing-{name}{f'-{number}' if number else ''}.pem"
        key = new_key(home(), name, kind, file or default, passphrase)
    print_line(f"{name} {key.id[:12]}: {key.source}")


def _passphrase(profile: str, settings: list[str] | None) -> str:
    return load(profile, parse_overrides(settings)).release.passphrase.get_secret_value()


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _state(key: TrustedKey) -> str:
    return "counts" if key.revoked is None else f"revoked {_day(key.revoked)} {key.why}".strip()
