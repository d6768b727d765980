"""Which boards, and which release: what the commands and the rollout share."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.errors import UserError
from infra.home import fleet_file
from infra.ports.values import LocalFile
from infra.settings import Settings, nearest
from infra.settings.fleet import read_fleet
from infra.store.artifacts import folder_files
from tasks.engine.chain import Chain
from tasks.fleet.state import share


def select_boards(
    settings: Settings, names: Sequence[str], label: str = "", *, everything: bool = False, percent: float = 100
) -> tuple[str, ...]:
    """Names of boards: those named, those of the fleet file with a label, or all of the fleet file.

    Raises:
        UserError: a name that is not known, a label that no board has, or nothing that selects.
    """
    if (bool(names) + bool(label) + everything) != 1:
        raise UserError("which boards?", hint="name them, or use --label WORD, or --all for the whole fleet file")
    unknown = [name for name in names if name not in settings.boards]
    if unknown:
        hint = "`atlasflow boards list` shows them, `atlasflow boards add` adds one"
        raise UserError(f"there is no board '{unknown[0]}'{nearest(unknown[0], settings.boards)}", hint=hint)
    listed = list(read_fleet(fleet_file()))
    chosen = list(dict.fromkeys(names)) or [
        name for name in listed if not label or label in settings.boards[name].labels
    ]
    if not chosen:
        what = f"no board of {fleet_file()} has the label '{label}'" if label else f"{fleet_file()} lists no board"
        raise UserError(what, hint="`atlasflow boards add` adds one")
    return share(chosen, percent)


def release_files(chain: Chain) -> tuple[Mapping[str, LocalFile], str]:
    """The files of the release that `deploy.release` names, else of the chain's own; and where they are from.

    Raises:
        UserError: the chain has published none, or what it published is not fresh.
    """
    given = chain.settings.deploy.release
    if given:
        folder = Path(given)
        if not folder.is_dir():
            raise UserError(f"there is no release in {folder}", hint="give a folder, or obs://bucket/prefix/")
        return folder_files(folder)[1], str(folder)
    looks = {look.stage: look for look in chain.look_at_all()}
    receipt = looks["publish"].receipt
    if receipt is None:
        raise UserError(
            f"the chain has no published release that is up to date: {looks['publish'].reason}",
            hint="`atlasflow run --to publish` makes one; `--release` takes another one",
        )
    return chain.store.files(receipt.outputs["release"]), f"the chain's release (receipt {receipt.key[:12]})"
