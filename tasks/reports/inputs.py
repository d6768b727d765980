"""Inputs of a run's report, read from the results of the stages that a chain knows."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.learning_signs import Sign, find_signs
from infra.ports.training import Epoch
from tasks.metrics import Metrics
from tasks.reports.cache import cached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.store.receipts import Receipt
    from tasks.engine.chain import Chain
    from tasks.release.deployment import Deployment
    from tasks.release.ledger import Ledger


@dataclass(frozen=True)
class Published:
    """A published release.

    Attributes:
        id: of the release.
        bucket: where it is.
        prefix: of its objects' keys.
        objects: key to SHA-256.
    """

    id: str
    bucket: str
    prefix: str
    objects: Mapping[str, str]


def metrics_of(chain: Chain, evaluation: Receipt) -> Metrics:
    """Read the metrics of an evaluation."""
    return Metrics.read(chain.store.path(evaluation.outputs["metrics"]))


def last_ledger(chain: Chain) -> Receipt:
    """Find the receipt with the newest ledger; a deployment of a release from elsewhere has none."""
    deployment = chain.known.get("deploy")
    return deployment if deployment is not None and "ledger" in deployment.outputs else chain.known["convert"]


def ledger_of(chain: Chain, receipt: Receipt) -> Ledger:
    """Read the parity ledger of a compilation or a deployment."""
    from tasks.release.ledger import Ledger

    return Ledger.from_json(_read_json(chain, receipt, "ledger"))


def deployment_of(chain: Chain) -> Deployment:
    """Read the result of the chain's deployment."""
    from tasks.release.deployment import Deployment

    return Deployment.from_json(_read_json(chain, chain.known["deploy"], "boards"))


def published_of(chain: Chain) -> Published:
    """Read the listing of the chain's published release."""
    value = _read_json(chain, chain.known["publish"], "published")
    return Published(value["id"], value["bucket"], value["prefix"], value["objects"])


def milliseconds(chain: Chain) -> dict[str, float]:
    """Read the latency of one image by the name of the model's form, as the stages measured it."""
    times: dict[str, float] = {}
    if "export" in chain.known and "latency" in chain.known["export"].outputs:
        measured = _read_json(chain, chain.known["export"], "latency")
        times |= {name: latency["milliseconds"] for name, latency in measured.items()}
    if "convert" in chain.known:
        for receipt in (chain.known["convert"], last_ledger(chain)):
            times |= _read_json(chain, receipt, "latency")
    return times


def rows_of(chain: Chain, receipt: Receipt, output: str) -> list[dict[str, str]]:
    """Read a CSV output of a stage."""
    with chain.store.path(receipt.outputs[output]).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def signs_of(chain: Chain, training: Receipt) -> tuple[Sign, ...]:
    """Find what a training's history says about how it learned."""
    epochs = [
        Epoch(
            epoch=int(row["epoch"]),
            epochs=int(training.ingredients["settings"]["epochs"]),
            loss=float(row["loss"]),
            step_ms=float(row["step_ms"]),
            images_per_second=float(row["images_per_second"]),
            accuracy=float(row["accuracy"]) if row["accuracy"] else None,
        )
        for row in rows_of(chain, training, "history")
    ]
    return find_signs(epochs, training.ingredients["settings"])


def picture_of(chain: Chain, receipt: Receipt, output: str) -> str:
    """Embed a stage's picture as a `data:` address."""

    def draw() -> bytes:
        from tasks.reports.run_plots import small

        return small(chain.store.path(receipt.outputs[output]))

    return cached(chain.home, output, [receipt.outputs[output].sha256], draw)


def emulated_stages(chain: Chain) -> list[str]:
    """List the stages with bytes that a stand-in made."""
    return [name for name, receipt in chain.known.items() if receipt.emulated]


def _read_json(chain: Chain, receipt: Receipt, output: str) -> Any:
    return json.loads(chain.store.path(receipt.outputs[output]).read_text(encoding="utf-8"))
