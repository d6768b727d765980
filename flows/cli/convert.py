"""`atlasflow convert`: compile, or with `--check` say before the compilation what ATC will refuse."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line
from infra.errors import Refused, UserError

if TYPE_CHECKING:
    from infra.settings import Settings

Model = Annotated[Path | None, typer.Argument(help="An ONNX file to check; without one, the chain's latest export.")]
Check = Annotated[bool, typer.Option("--check", help="Compile nothing; say what the compiler will refuse, and why.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Examples: `atlasflow convert --check` · `atlasflow convert resnet50.onnx --check`")(convert)


def convert(
    model: Model = None, check: Check = False, profile: Profile = "local", settings: Set = None, as_json: Json = False
) -> None:
    """Compile the chain's model; with --check, say what ATC will refuse, for each chip of the settings."""
    if not check:
        if model is not None:
            raise UserError("a file is only checked here", hint="add --check, or compile it: --set convert.model=FILE")
        from flows.cli.run import run  # noqa: PLC0415 - the check needs nothing of the chain

        run(profile=profile, stage=["convert"], settings=settings)
        return
    from infra.settings import load  # noqa: PLC0415 - as above

    loaded = load(profile, parse_overrides(settings))
    path = model or _export(loaded)
    from infra.atc.lint.check import examine  # noqa: PLC0415 - it imports onnx
    from tasks.release.targets import soc_versions  # noqa: PLC0415 - as above

    found = examine(path, soc_versions(loaded), loaded)
    if as_json:
        print_json({soc: [finding.to_json() for finding in findings] for soc, findings in found.items()})
    for soc, findings in {} if as_json else found.items():
        print_line(f"{path.name} for {soc}{'' if findings else ': nothing to say'}")
        for finding in findings:
            print_line(f"  {finding}")
    from infra.atc.lint.findings import errors  # noqa: PLC0415 - as above

    wrong = sum(len(errors(findings)) for findings in found.values())
    if wrong:
        raise Refused(f"ATC would refuse {path.name}: {wrong} errors", hint="each line above says what to do")


def _export(settings: "Settings") -> Path:
    from infra.home import home  # noqa: PLC0415 - next to its only use

    if settings.convert.model:
        return Path(settings.convert.model)
    files = sorted((home() / "latest" / "export").rglob("*.onnx"))
    if not files:
        raise UserError("there is no exported model yet", hint="run `atlasflow run --to export`, or name an ONNX file")
    return files[0]
