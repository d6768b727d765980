"""A run as a page of HTML, for notebooks: what it reached, its stages with their receipts, curves and pictures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tasks.engine.diff import brief
from tasks.reports.cache import cached
from tasks.reports.inputs import last_ledger, picture_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.project.result import RunResult
    from tasks.engine.chain import Chain

_PICTURES = {
    "confusion": "true classes in rows, answers in columns",
    "mistakes": "the wrong answers with the highest confidence",
}


def page(run: RunResult) -> str:
    """Write a run as HTML; its pictures are inside, so that a saved notebook keeps them."""
    pictures = "".join(
        f'<figure style="margin:0 0 1em"><img style="max-width:100%" alt="{escape(text)}" src="{address}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
        for text, address in _pictures(run.chain)
    )
    return f"<div><p>{_summary(run)}</p>{_stages(run)}{pictures}</div>"


def _summary(run: RunResult) -> str:
    failed = [item.stage for item in run.stages if item.outcome == "failed"]
    words = [f"<b>Stopped at {escape(failed[0])}</b>." if failed else "<b>Done</b>."]
    if (metrics := run.metrics) is not None:
        words.append(f"{metrics.accuracy:.2%} of {metrics.images:,} images are answered right.")
    if (release := run.release) is not None:
        words.append(f"Release <code>{escape(release.id)}</code>.")
    if (deployment := run.deployment) is not None:
        words.append(f"In service on {escape(', '.join(deployment.boards))}.")
    if any(receipt.emulated for receipt in run.receipts.values()):
        words.append("Stand-ins took part: this proves the path, not hardware.")
    return " ".join(words)


def _stages(run: RunResult) -> str:
    receipts = run.receipts
    rows = []
    for item in run.stages:
        receipt = receipts.get(item.stage)
        made = "" if receipt is None else ", ".join(receipt.outputs)
        cells = (item.stage, item.outcome, f"{item.seconds:.1f}", brief(item.reason), item.key[:12], made)
        rows.append(_row("td", cells))
    head = _row("th", ("stage", "outcome", "seconds", "why", "receipt", "outputs"))
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _pictures(chain: Chain) -> Iterator[tuple[str, str]]:
    training = chain.known.get("train")
    if training is not None and {"history", "steps"} <= training.outputs.keys():
        epochs, steps = rows_of(chain, training, "history"), rows_of(chain, training, "steps")

        def draw() -> bytes:
            from tasks.reports.run_plots import curves  # noqa: PLC0415 - Matplotlib

            return curves(epochs, steps)

        inputs = [training.outputs[name].sha256 for name in ("history", "steps")]
        yield "loss, accuracy and learning rate over the epochs", cached(chain.home, "curves", inputs, draw)
    evaluation = chain.known.get("evaluate")
    for output, text in _PICTURES.items():
        if evaluation is not None and output in evaluation.outputs:
            yield text, picture_of(chain, evaluation, output)
    if "convert" in chain.known and "picture" in (ledger := last_ledger(chain)).outputs:
        yield "agreement with the checkpoint, hop by hop and by class", picture_of(chain, ledger, "picture")
