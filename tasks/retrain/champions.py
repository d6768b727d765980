"""From a chain's receipts to a champion in the registry, and from there back to receipts, files and boards."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Literal

from infra.champions import Champion, Registry
from infra.errors import Refused, UserError
from infra.fleet import Fleet
from infra.store.digests import value_digest
from tasks.pipeline import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.champions import State
    from infra.store.receipts import Receipt
    from tasks.engine.chain import Chain

METRICS = ("accuracy", "accuracy_interval_95", "images", "loss")


def registry_of(chain: Chain) -> Registry:
    """The registry of a chain's home, with the mirror that its settings name, and the locks of who shares it."""
    return Registry(chain.home, chain.world.mirror(), chain.world.leases())


def trained_by(chain: Chain, champion: Champion) -> Receipt:
    """The receipt of a champion's training, fetched from the mirror when another machine made it.

    Raises:
        UserError: it is not there, so that the champion can be compared with nothing.
    """
    return _receipt(chain, champion, "train")


def metrics_of(chain: Chain) -> dict[str, Any]:
    """The metrics of a chain whose evaluation is known."""
    path = chain.store.path(chain.known["evaluate"].outputs["metrics"])
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def robustness_of(chain: Chain) -> dict[str, Any]:
    """What the stage `robustness` of a chain found."""
    path = chain.store.path(chain.known["robustness"].outputs["robustness"])
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def compared(champion: Chain, challenger: Chain) -> Mapping[str, float]:
    """`models.evaluation.comparison.compare` of two chains whose evaluations, of the same images, are known.

    Raises:
        Refused: their labels are not the same, so neither are their images.
    """
    import numpy as np

    from models.evaluation.comparison import compare

    logits, labels = [], []
    for chain in (champion, challenger):
        path = chain.store.path(chain.known["evaluate"].outputs["predictions"])
        with np.load(path, allow_pickle=False) as file:
            logits.append(file["logits"])
            labels.append(file["labels"])
    if not np.array_equal(*labels):
        raise Refused(
            "champion and challenger were evaluated on images with different labels, so they cannot be compared",
            hint="`atlasflow why evaluate` names the data; evaluate both on the same",
        )
    return compare(logits[0], logits[1], labels[0])


def stand_ins(chain: Chain) -> tuple[str, ...]:
    """The known stages whose bytes a stand-in had a hand in."""
    return tuple(name for name in NAMES if name in chain.known and chain.known[name].emulated)


def as_champion(chain: Chain, who: str, why: str) -> Champion:
    """What the registry is to know of a chain that has published its release."""
    trained = chain.known["train"]
    metrics = metrics_of(chain)
    listing = chain.store.path(chain.known["publish"].outputs["published"])
    published = json.loads(listing.read_text(encoding="utf-8"))
    return Champion(
        release=published["id"],
        checkpoint=trained.outputs["checkpoint"].sha256,
        recipe=chain.settings.train.recipe,
        spec=dict(trained.ingredients["settings"]),
        data=trained.ingredients["inputs"]["data"],
        code=value_digest(trained.ingredients["code"]),
        metrics={name: metrics[name] for name in METRICS},
        keys={name: chain.known[name].key for name in NAMES if name in chain.known and name != "deploy"},
        emulated=stand_ins(chain),
        published=f"obs://{published['bucket']}/{published['prefix']}/",
        when=time.time(),
        who=who,
        why=why,
    )


def release_folder(chain: Chain, champion: Champion) -> Path:
    """The champion's release as a folder that a rollout takes; the fleet keeps it from now on.

    Raises:
        UserError: its files are not here any more.
    """
    fleet = Fleet(chain.home)
    folder = fleet.folder / "releases" / champion.release
    if not folder.is_dir():
        receipt = _receipt(chain, champion, "publish")
        fleet.keep(chain.store.files(receipt.outputs["release"]), f"the champion {champion.release}")
    return folder


def back_to(chain: Chain, state: State, to: str) -> Champion:
    """The former champion that a demotion goes back to, by default the predecessor; what it rests on is here.

    Raises:
        UserError: there is none, or its receipts or files are not here any more.
    """
    if state.champion is None:
        raise UserError("there is no champion", hint="`atlasflow retrain` makes the first")
    former = [name for name in state.models if name != state.champion.release]
    found = state.models.get(to) if to else state.predecessor()
    if found is None or found.release not in former:
        what = f"release {to} is no former champion" if to else f"release {state.champion.release} has no predecessor"
        raise UserError(what, hint=f"former champions: {', '.join(former) or 'none'}")
    trained_by(chain, found)
    release_folder(chain, found)
    return found


def gave_up(chain: Chain, release: str, who: str, why: str) -> Champion | None:
    """Boards were put back from a release: when it is the champion, its predecessor is champion again.

    Returns:
        The former champion; None when it was another release.
    """
    registry = registry_of(chain)
    champion = registry.read().champion
    if champion is None or champion.release != release:
        return None
    registry.demote("", who, why, of=release, pending=False)
    return champion


def announce(
    kind: Literal["promoted", "demoted"], about: Champion, champion: Champion | None, who: str, why: str
) -> None:
    """Emit the Prefect event `atlasflow.champion.promoted` or `.demoted`, for automations.

    Args:
        kind: what happened.
        about: the release that it happened to.
        champion: the champion by now.
        who: a person, or the flow.
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
        payload={"who": who, "why": why, "accuracy": about.metrics["accuracy"], "emulated": list(about.emulated)},
    )


def _receipt(chain: Chain, champion: Champion, stage: str) -> Receipt:
    key = champion.keys[stage]
    receipt = chain.receipts.load(stage, key)
    mirror = chain.world.mirror()
    if receipt is None and mirror is not None and mirror.fetch(stage, key, chain.receipts, chain.store):
        receipt = chain.receipts.load(stage, key)
    if receipt is None:
        raise UserError(
            f"the receipt of {stage} {key[:12]} of release {champion.release} is not here any more",
            hint=f"another machine may have it (store.mirror); the release was published to {champion.published}",
        )
    for artifact in receipt.outputs.values():
        chain.store.verify(artifact)
    return receipt
