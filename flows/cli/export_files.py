"""`atlasflow export files`: the chain's model under the names that the tutorials give it."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line
from flows.context import open_chain
from infra.errors import UserError
from infra.store.atomic import replacing
from tasks.engine.reporter import Silent
from tasks.specs import train_spec

if TYPE_CHECKING:
    from tasks.engine.chain import Chain

FORMATS = ("mindir", "onnx", "air")


def register(export_app: typer.Typer) -> None:
    """Add the command to the group."""
    export_app.command(
        "files",
        epilog="Examples: `atlasflow export files models/` · `atlasflow export files . --prefix resnet --om resnet50`",
    )(export_files)


def export_files(
    folder: Annotated[Path, typer.Argument(help="Folder for the files; made when it is missing.")],
    prefix: Annotated[str, typer.Option(help="Beginning of the names; default: the network.")] = "",
    om: Annotated[str, typer.Option(help="Name of the compiled model; default: the network.")] = "",
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Copy checkpoint, exports and compiled models, as PREFIX-EPOCH_STEP.ckpt, .mindir, .onnx, .air, and NAME.om.

    EPOCH is the last one, STEP the number of steps of an epoch, as MindSpore's own checkpoints are named.
    """
    chain = open_chain(profile, parse_overrides(settings), Silent())
    chain.look_at_all()
    network = train_spec(chain.settings).network.rpartition(":")[2]
    for word in (prefix, om):
        if "/" in word or word.startswith("."):
            raise UserError(f"'{word}' cannot begin the name of a file", hint="use letters, digits, - and _")
    found = named(chain, prefix or network, om or network)
    if not found:
        raise UserError("there is no checkpoint yet", hint="run `atlasflow run --to train` with the same settings")
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in found.items():
        with replacing(folder / name) as temporary:
            shutil.copyfile(source, temporary)
    if as_json:
        print_json({name: str(folder / name) for name in found})
        return
    for name in found:
        print_line(str(folder / name))


def named(chain: "Chain", prefix: str, om: str) -> dict[str, Path]:
    """The files of the stages that are fresh, by their new names.

    Args:
        chain: has looked at its stages.
        prefix: of checkpoint and exports.
        om: name of compiled models; with several chips or precisions, theirs follows.
    """
    train = chain.known.get("train")
    if train is None:
        return {}
    base = prefix
    if "result" in train.outputs:  # a script of the user has none
        result = json.loads(chain.store.path(train.outputs["result"]).read_text(encoding="utf-8"))
        base = f"{prefix}-{result['epochs']}_{result['steps_per_epoch']}"
    found = {f"{base}.ckpt": chain.store.path(train.outputs["checkpoint"])}
    export = chain.known.get("export")
    for name in FORMATS if export is not None else ():
        if export is not None and name in export.outputs:
            found[f"{base}.{name}"] = chain.store.path(export.outputs[name])
    convert = chain.known.get("convert")
    compiled = {} if convert is None else chain.store.files(convert.outputs["om"])
    for name, file in compiled.items():
        chip = name.rpartition("/")[0].replace("/", "_")
        found[f"{om}.om" if len(compiled) == 1 else f"{om}_{chip}.om"] = file.path
    return found
