"""`atlasflow doctor`: check this machine and the profile."""

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_table
from flows.context import open_chain
from infra.doctor import examine
from infra.errors import UserError
from tasks.engine.reporter import Silent


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Examples: `atlasflow doctor` · `atlasflow doctor --profile cloud`")(doctor)


def doctor(profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Check this machine and the profile: Python, disk, ports, CPU, services, credentials; each with a hint."""
    chain = open_chain(profile, parse_overrides(settings), Silent())
    findings = examine(chain.settings, chain.home, chain.world)
    if as_json:
        print_json(findings)
    else:
        rows = [(item.check, item.level, item.found, item.hint) for item in findings]
        print_table(("check", "", "found", "hint"), rows)
    wrong = [finding.check for finding in findings if finding.level == "wrong"]
    if wrong:
        raise UserError(f"doctor found problems with: {', '.join(wrong)}", hint="the hints above say what to do")
