"""From a chain's receipts to a champion in the registry, and back to receipts and files."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Literal

from infra.champions import Champion, Registry
from infra.errors import UserError
from infra.fleet import Fleet
from infra.store.digests import value_digest
from tasks.pipeline import NAMES
from tasks.retrain.evaluation import evaluation_of

if TYPE_CHECKING:
    from pathlib import Path

    from infra.champions import RegistryState
    from infra.store.receipts import Receipt
    from tasks.engine.chain import Chain


def registry_of(chain: Chain) -> Registry:
    """Open the registry of a chain's home, with its mirror and the locks of the machines that share it."""
    return Registry(chain.home, chain.world.mirror(), chain.world.leases())


def training_receipt(chain: Chain, champion: Champion) -> Receipt:
    """Find the receipt of a champion's training; one of another machine is fetched from the mirror.

    Raises:
        UserError: it is missing.
    """
    return _receipt(chain, champion, "train")


def emulated_stages(chain: Chain) -> tuple[str, ...]:
    """List the known stages whose bytes a stand-in contributed to."""
    return tuple(name for name in NAMES if name in chain.known and chain.known[name].emulated)


def champion_of(chain: Chain, who: str, why: str) -> Champion:
    """Describe a chain that has published its release as a champion."""
    trained = chain.known["train"]
    listing = chain.store.path(chain.known["publish"].outputs["published"])
    published = json.loads(listing.read_text(encoding="utf-8"))
    return Champion(
        release=published["id"],
        checkpoint=trained.outputs["checkpoint"].sha256,
        recipe=chain.settings.train.recipe,
        spec=dict(trained.ingredients["settings"]),
        data=trained.ingredients["inputs"]["data"],
        code=value_digest(trained.ingredients["code"]),
        metrics=evaluation_of(chain).metrics,
        keys={name: chain.known[name].key for name in NAMES if name in chain.known and name != "deploy"},
        emulated=emulated_stages(chain),
        published=f"obs://{published['bucket']}/{published['prefix']}/",
        when=time.time(),
        who=who,
        why=why,
    )


def release_folder(chain: Chain, champion: Champion) -> Path:
    """Get the champion's release as a folder for a rollout; the fleet keeps it from now on.

    Raises:
        UserError: its files are gone.
    """
    fleet = Fleet(chain.home)
    folder = fleet.folder / "releases" / champion.release
    if not folder.is_dir():
        receipt = _receipt(chain, champion, "publish")
        fleet.keep(chain.store.files(receipt.outputs["release"]), f"the champion {champion.release}")
    return folder


def demotion_target(chain: Chain, state: RegistryState, to: str) -> Champion:
    """Find the former champion that a demotion returns to, and check that its receipts and files are here.

    Args:
        chain: of the home.
        state: of the registry.
        to: a former champion's release; empty: the predecessor.

    Raises:
        UserError: there is none, or its receipts or files are gone.
    """
    if state.champion is None:
        raise UserError("there is no champion", hint="`atlasflow retrain` makes the first")
    former = [name for name in state.models if name != state.champion.release]
    found = state.models.get(to) if to else state.predecessor()
    if found is None or found.release not in former:
        present = state.champion.release
        what = f"release {to} is not a former champion" if to else f"release {present} has no predecessor"
        raise UserError(what, hint=f"former champions: {', '.join(former) or 'none'}")
    training_receipt(chain, found)
    release_folder(chain, found)
    return found


def demote_release(chain: Chain, release: str, who: str, why: str) -> Champion | None:
    """Replace the champion by its predecessor if it is this release, which the boards have left already.

    Returns:
        The demoted champion; None when the champion is another release.
    """
    registry = registry_of(chain)
    champion = registry.read().champion
    if champion is None or champion.release != release:
        return None
    registry.demote("", who, why, of=release, pending=False)
    return champion


def emit_champion_event(
    kind: Literal["promoted", "demoted"], about: Champion, champion: Champion | None, who: str, why: str
) -> None:
    """Emit the Prefect event `atlasflow.champion.promoted` or `.demoted`, for automations.

    Args:
        kind: what happened.
        about: the release that was promoted or demoted.
        champion: the champion after it.
        who: a person, the schedule or a rollout.
        why: the reason.
    """
    from prefect.events import emit_event

    from tasks.orchestration.events import DEMOTED, PROMOTED

    emit_event(
        PROMOTED if kind == "promoted" else DEMOTED,
        resource={
            "prefect.resource.id": f"atlasflow.release.{about.release}",
            "prefect.resource.name": about.release,
            "atlasflow.recipe": about.recipe,
            "atlasflow.checkpoint": about.checkpoint,
        },
        related=[
            {"prefect.resource.id": f"atlasflow.release.{name}", "prefect.resource.role": role}
            for name, role in ((champion.release if champion else "", "champion"), (about.before, "predecessor"))
            if name
        ],
        payload={"who": who, "why": why, "accuracy": about.metrics.accuracy, "emulated": list(about.emulated)},
    )


def _receipt(chain: Chain, champion: Champion, stage: str) -> Receipt:
    key = champion.keys[stage]
    receipt = chain.receipts.load(stage, key)
    mirror = chain.world.mirror()
    if receipt is None and mirror is not None and mirror.fetch(stage, key, chain.receipts, chain.store):
        receipt = chain.receipts.load(stage, key)
    if receipt is None:
        raise UserError(
            f"the receipt of {stage} {key[:12]} of release {champion.release} is gone",
            hint=f"another machine may have it (store.mirror); the release was published to {champion.published}",
        )
    for artifact in receipt.outputs.values():
        chain.store.verify(artifact)
    return receipt
