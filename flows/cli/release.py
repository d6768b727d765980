"""`atlasflow release`: verify and sign releases."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_facts, print_json, print_line, print_table
from flows.context import open_chain, release_files
from infra.board.release_folder import check_identifier, releases_in
from infra.errors import UserError
from infra.trust.bundle import write_bundle, write_setup
from infra.trust.keyring import read_keyring
from infra.trust.verify import verify_release
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.release.evidence import PROVENANCE, SBOM

release = typer.Typer(help="Verify and sign releases.", no_args_is_help=True)

Place = Annotated[
    str, typer.Argument(metavar="[RELEASE]", help="A folder, or obs://bucket/prefix/; by default the chain's.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(release, name="release", epilog="Example: `atlasflow release verify`")


@release.command(epilog="Examples: `atlasflow release verify` · `atlasflow release verify obs://bucket/releases/ID/`")
def verify(place: Place = "", profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Verify a release as a board would: its id, every byte, its signature, fleet and expiry."""
    chain, (files, where) = _opened(place, profile, settings)
    chips = releases_in(files, where)
    keyring = read_keyring(chain.home)
    rows: list[dict[str, Any]] = []
    for soc, found in chips.items():
        manifest, key = verify_release(found, keyring, chain.settings.release.fleet)
        row = {"release": found.id, "chip": soc, "key": key.id, "signs": key.kind, "counter": manifest.counter}
        rows.append({**row, "files": len(manifest.files), "expires": manifest.expires})
    check_identifier(files, where)
    if as_json:
        print_json(rows)
        return
    print_table(tuple(rows[0]), [[str("" if value is None else value)[:20] for value in row.values()] for row in rows])


@release.command(epilog="Example: `atlasflow release sign releases/3f2a90bc/ --set release.key=factory`")
def sign(
    folder: Annotated[Path, typer.Argument(help="Folder of a release.")],
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Sign a release again, with the key of the settings: afterwards it is the newest one for its boards."""
    chain, (files, where) = _opened(str(folder), profile, settings)
    chips = releases_in(files, where)
    check_identifier(files, where)
    key = chain.world.signer().sign(folder, emulated=any(found.emulated for found in chips.values()))
    print_line(f"release {next(iter(chips.values())).id} is signed with {key.name} ({key.id[:12]}, {key.kind})")


@release.command(epilog="Example: `atlasflow release bundle /media/stick/porch.atlas --set-up /media/stick/atlasflow`")
def bundle(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, such as OUT.atlas.")],
    place: Place = "",
    set_up: Annotated[
        Path | None, typer.Option("--set-up", help="Also write what a board needs before its first bundle, here.")
    ] = None,
    soc: Annotated[str, typer.Option(help="With --set-up: the chip of the board.")] = "",
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Write a release as one file for boards without a network; `start install OUT` on the board installs it."""
    chain, (files, where) = _opened(place, profile, settings)
    check_identifier(files, where)
    size = write_bundle(files, where, target)
    print_line(f"{target}: {size:,} bytes; on the board: ~/atlasflow/start install {target.name}")
    if set_up is not None:
        fleet = chain.settings.release.fleet
        write_setup(set_up, read_keyring(chain.home).for_board(fleet, soc, stand_in=False))
        print_line(f"{set_up}: copy its content to ~/atlasflow on the board, once")


@release.command(epilog="Example: `atlasflow release explain`")
def explain(place: Place = "", profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Show how a release was made, all of it signed: the receipts of its stages, data, code, tools, packages."""
    chain, (files, where) = _opened(place, profile, settings)
    found = next(iter(releases_in(files, where).values()))
    _, key = verify_release(found, read_keyring(chain.home), chain.settings.release.fleet)
    if PROVENANCE not in found.files:
        raise UserError(f"release {found.id} carries no provenance", hint="publish it again")
    statement = json.loads(found.files[PROVENANCE].path.read_text(encoding="utf-8"))
    if as_json:
        print_json(statement)
        return
    build, run = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    packages = json.loads(found.files[SBOM].path.read_text(encoding="utf-8"))["components"]
    rows = [("release", found.id), ("signed by", f"{key.id[:12]} ({key.kind})"), ("files", str(len(found.files)))]
    rows += [(item["name"], item["digest"]["sha256"][:16]) for item in build["resolvedDependencies"]]
    for link in run["byproducts"]:
        said = link["annotations"]
        tools = ", ".join(f"{name} {version}" for name, version in said["tools"].items())
        stand_in = "made by a stand-in" if said["emulated"] else ""
        rows.append((link["name"], " ".join(filter(None, (said["key"][:16], tools, stand_in)))))
    recipe = build["externalParameters"]["recipe"]
    rows += [("recipe", ", ".join(f"{name} {value}" for name, value in recipe.items() if not isinstance(value, dict)))]
    print_facts([*rows, ("packages", str(len(packages)))])


def _opened(place: str, profile: str, settings: list[str] | None) -> tuple[Chain, Any]:
    overrides = parse_overrides(settings)
    chain = open_chain(profile, {**overrides, "deploy.release": place} if place else overrides, Silent())
    return chain, release_files(chain)
