"""Track finished trainings in Aim. A failure of tracking is reported, and does not fail the run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError
from infra.store.runs import Runs
from infra.tracking import repository
from tasks.reports.inputs import rows_of, signs_of

if TYPE_CHECKING:
    from infra.store.receipts import Receipt
    from tasks.engine.chain import Chain
    from tasks.engine.stage import Reporter


def track(chain: Chain, receipt: Receipt, reporter: Reporter) -> None:
    """Write a training to Aim, unless it is there already or tracking is disabled."""
    if not chain.settings.tracking.enabled or repository.run_of(chain.home, receipt.key) is not None:
        return
    if not repository.installed():
        reporter.line("train", f"not tracked: {repository.MISSING}; {repository.HOW}")
        return
    if "steps" not in receipt.outputs:  # a user's own script wrote no history
        return
    try:
        repository.write(chain.home, training_of(chain, receipt))
    except AtlasFlowError as error:
        reporter.line("train", f"not tracked: {error.message}; `atlasflow aim` tries again")


def track_all(chain: Chain, reporter: Reporter) -> int:
    """Write every missing training of the home to Aim; returns how many are there now."""
    receipts = [receipt for receipt in chain.receipts.all("train") if "steps" in receipt.outputs]
    for receipt in receipts:
        track(chain, receipt, reporter)
    return sum(repository.run_of(chain.home, receipt.key) is not None for receipt in receipts)


def page(chain: Chain) -> str | None:
    """Get the address of the page of the chain's training; None when it is not tracked."""
    receipt = chain.known.get("train")
    if receipt is None or repository.run_of(chain.home, receipt.key) is None:
        return None
    return repository.page(chain.world.services, chain.home, chain.settings.tracking, receipt.key)


def training_of(chain: Chain, receipt: Receipt) -> repository.Training:
    """Describe a training for Aim from its receipt, so that it looks the same wherever it was trained."""
    recipe = receipt.ingredients["settings"]
    producer = receipt.ingredients["producer"] or {}
    started = datetime.fromtimestamp(receipt.started, UTC).isoformat(timespec="seconds")
    about = {
        "key": receipt.key,
        "data": receipt.ingredients["inputs"]["data"],
        "checkpoint": receipt.outputs["checkpoint"].sha256,
        "producer": producer.get("name", ""),
        "version": producer.get("version", ""),
        "emulated": receipt.emulated,
        "started": started,
        "seconds": round(receipt.seconds, 3),
        "signs": [f"epoch {sign.epoch}: {sign.text}" for sign in signs_of(chain, receipt)],
    }
    return repository.Training(
        receipt.key,
        experiment=recipe["network"],
        name=" ".join(filter(None, (_recipe(chain, receipt), _accuracy(chain, receipt), receipt.key[:8]))),
        parameters={"hparams": recipe, "training": about},
        history=chain.store.path(receipt.outputs["history"]),
        steps=chain.store.path(receipt.outputs["steps"]),
        started=receipt.started,
        seconds=receipt.seconds,
    )


def _recipe(chain: Chain, receipt: Receipt) -> str:
    """The recipe that a training was named by; of an old one whose run does not tell, its network."""
    known = chain.known.get("train")
    if known is not None and known.key == receipt.key:
        return chain.settings.train.recipe
    named = (
        record.settings.get("train.recipe", "")
        for record in Runs(chain.home).latest()
        if any(item.key == receipt.key for item in record.stages)
    )
    return next(filter(None, named), str(receipt.ingredients["settings"]["network"]))


def _accuracy(chain: Chain, receipt: Receipt) -> str:
    """The accuracy after the last epoch that was evaluated; empty where none was."""
    found = [row["accuracy"] for row in rows_of(chain, receipt, "history") if row["accuracy"]]
    return f"{float(found[-1]) * 100:.1f} %" if found else ""
