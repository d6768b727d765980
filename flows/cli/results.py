"""What a chain has to show at the end of a run: accuracy, release, boards, pictures, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from tasks.engine.chain import Chain

Fact = tuple[str, str]


def results(chain: Chain, stages: Collection[str]) -> list[Fact]:
    """Name and value of each result of these stages, as lines to read.

    Args:
        chain: whose receipts are known.
        stages: those that are up to date.
    """
    from tasks.reports.inputs import deployment_of, metrics_of, published_of  # noqa: PLC0415 - for who has results

    known = set(stages) & set(chain.known)
    latest = chain.home / "latest"
    found: list[Fact] = []
    if "evaluate" in known:
        metrics = metrics_of(chain, chain.known["evaluate"])
        found.append(("accuracy", f"{metrics.accuracy:.2%} of {metrics.images:,} images"))
        found.append(("confusion matrix", str(latest / "evaluate" / "confusion.png")))
    if "publish" in known:
        release = published_of(chain)
        found.append(("release", f"{release.id} in obs://{release.bucket}/{release.prefix}"))
    if "deploy" in known:
        found.append(("in service on", ", ".join(deployment_of(chain).boards)))
        found.append(("classified pictures", str(latest / "deploy" / "pictures")))
    if {"train", "evaluate", "export"} <= known:
        found.append(("next", "`atlasflow demo` shows the model in the browser"))
    return found
