"""From a request to a chain, its boards and its release."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from infra import proxies
from infra.backup.interrupted import refuse_interrupted
from infra.errors import UserError
from infra.faults import FaultPlan
from infra.home import fleet_file, home
from infra.ports.values import LocalFile
from infra.settings import Settings, load, nearest
from infra.settings.fleet import BUILT_IN, read_fleet
from infra.store.artifacts import folder_files
from infra.world import World
from tasks.dataset import remote
from tasks.engine.chain import Chain
from tasks.engine.stage import Reporter
from tasks.fleet.waves import share
from tasks.pipeline import gate_after, stages_for
from tasks.specs import recipe_settings


def open_chain(profile: str, overrides: Mapping[str, str], reporter: Reporter, selected: Iterable[str] = ()) -> Chain:
    """Load the settings and build the chain, with the optional stages when one of them is selected.

    Nothing is started. Inputs that the settings name by an `obs://` address are fetched: from here on they are files,
    and their digests are what counts.

    Raises:
        UserError: a setting is wrong.
        Refused: a restore of the home was interrupted.
    """
    refuse_interrupted(home())
    proxies.prepare()
    settings = load(profile, overrides)
    recipe_settings(settings)  # a recipe that cannot be trained is an error now, not after the data were fetched
    place = home()
    settings = _with_fetched_inputs(settings, place)
    faults = FaultPlan.parse(os.environ.get("ATLASFLOW_FAULTS", ""))
    world = World(settings, place, faults)
    return Chain(stages_for(selected), settings, place, world, reporter, faults, world.mirror(), leases=world.leases())


def all_fresh(chain: Chain, selected: Collection[str]) -> bool:
    """True when these stages are fresh, and the gates behind them are open; nothing is started."""
    looks = [look for look in chain.look_at_all() if look.stage in selected]
    decisions = [gate_after(chain, name) for name in selected]
    return all(look.state == "fresh" for look in looks) and all(item is None or item.ok for item in decisions)


def _with_fetched_inputs(settings: Settings, place: Path) -> Settings:
    """Replace each `obs://` address of an input by the path of its local copy."""
    for name, field in (("convert", "model"), ("train", "pretrained"), ("deploy", "release")):
        section = getattr(settings, name)
        address = getattr(section, field)
        if address.startswith("obs://"):
            files = World(settings, place).external_files()
            path = files.release(address) if field == "release" else files.local_copy(address)
            settings = settings.model_copy(update={name: section.model_copy(update={field: str(path)})})
    return _with_fetched_pictures(settings, place)


def _with_fetched_pictures(settings: Settings, place: Path) -> Settings:
    """Replace a data source in object storage by its local copy; one with a digest is fetched by its stage."""
    if settings.data.sha256 or not remote.may_be_remote(settings.data.source):
        return settings
    path = remote.local_source(settings.data.source, World(settings, place).external_files())
    return settings.model_copy(update={"data": settings.data.model_copy(update={"source": path})})


def select_boards(
    settings: Settings, names: Sequence[str], label: str = "", *, everything: bool = False, percent: float = 100
) -> tuple[str, ...]:
    """Select boards by name, by label or all of them.

    Args:
        settings: the boards that are known.
        names: boards, in this order.
        label: every board with this label.
        everything: every board of the settings; the built-in stand-in only where there is no other.
        percent: take only this share of the selected boards.

    Raises:
        UserError: an unknown name, a label that no board has, or not exactly one of names, label and everything.
    """
    if (bool(names) + bool(label) + everything) != 1:
        raise UserError("which boards?", hint="name them, or use --label LABEL, or --all for every board")
    unknown = [name for name in names if name not in settings.boards]
    if unknown:
        hint = "`atlasflow boards list` shows them, `atlasflow boards add` adds one"
        raise UserError(f"there is no board '{unknown[0]}'{nearest(unknown[0], settings.boards)}", hint=hint)
    # The built-in stand-in has no place beside real boards, and is all there is at first.
    listed = [name for name in settings.boards if name != BUILT_IN or name in read_fleet(fleet_file())]
    selected = list(dict.fromkeys(names)) or [
        name for name in listed or [BUILT_IN] if not label or label in settings.boards[name].labels
    ]
    if not selected:
        raise UserError(f"no board has the label '{label}'", hint="`atlasflow boards list` shows labels")
    return share(selected, percent)


def release_files(chain: Chain) -> tuple[Mapping[str, LocalFile], str]:
    """Find the files of the release: the one that `deploy.release` names, else the one that the chain published.

    Returns:
        Path inside the release to file; and a description of its origin, for messages.

    Raises:
        UserError: there is no such folder, or the chain has no fresh release.
    """
    if chain.settings.deploy.release:
        folder = Path(chain.settings.deploy.release)
        if not folder.is_dir():
            raise UserError(f"there is no release in {folder}", hint="give a folder, or obs://bucket/prefix/")
        return folder_files(folder)[1], str(folder)
    looks = {look.stage: look for look in chain.look_at_all()}
    receipt = looks["publish"].receipt
    if receipt is None:
        raise UserError(
            f"the chain has no published release that is up to date: {looks['publish'].reason}",
            hint="`atlasflow run --to publish` makes one; `--release` selects another one",
        )
    return chain.store.files(receipt.outputs["release"]), f"the chain's release (receipt {receipt.key[:12]})"
