"""The artifacts of a run in the Prefect UI: its report, tables, and the evaluation's pictures.

Pictures are embedded as `data:` addresses, which both of Prefect's interfaces show: a link would expire, or name a
machine that is gone. The text repeats their numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from tasks.engine.diff import brief
from tasks.release.parity_report import ParityRow, rows
from tasks.reports import sections
from tasks.reports.accuracy import accuracy
from tasks.reports.inputs import last_ledger, ledger_of, metrics_of, milliseconds, picture_of, published_of, rows_of
from tasks.reports.robustness import robustness

if TYPE_CHECKING:
    from infra.ports.storage import UploadStore
    from infra.store.receipts import Receipt
    from infra.store.runs import RunRecord
    from tasks.engine.chain import Chain

PICTURES = {
    "confusion": ("confusion-matrix", "Rows: the true class; columns: the answer"),
    "reliability": ("reliability", "Share of right answers by confidence"),
    "mistakes": ("confident-mistakes", "The wrong answers with the highest confidence"),
}
"""Output of the evaluation to the key and the description of its artifact."""


def publish(chain: Chain, record: RunRecord) -> None:
    """Attach the report to the current flow run, and each table and picture as its own artifact with a history."""
    create_markdown_artifact(markdown(chain, record), key="report", description="Stages and results")
    if "evaluate" in chain.known:
        _publish_evaluation(chain, chain.known["evaluate"])
    if "convert" in chain.known:
        _publish_parity(chain)


def accuracy_reached(chain: Chain, record: RunRecord) -> str:
    """The accuracy that a run measured or reused, such as `68.2 %`; empty where its evaluation did not end well."""
    done = {item.stage for item in record.stages if item.outcome != "failed"}
    if "evaluate" not in done or "evaluate" not in chain.known:
        return ""
    return f"{metrics_of(chain, chain.known['evaluate']).accuracy * 100:.1f} %"


def markdown(chain: Chain, record: RunRecord) -> str:
    """Write the report of a run as Markdown."""
    lines = [
        f"# Run {record.id}",
        "",
        *sections.summary(chain, record),
        f"Profile `{record.profile}`{_changed(record)}.",
        "",
    ]
    lines += ["| stage | outcome | seconds | result | why |", "|---|---|---:|---|---|"]
    lines += [
        f"| {item.stage} | {item.outcome} | {item.seconds:.1f} | {_cell(item.note)} | {_cell(brief(item.reason))} |"
        for item in record.stages
    ]
    lines += ["", *sections.stand_ins(chain), *accuracy(chain), *sections.learning(chain)]
    lines += [*robustness(chain), *sections.parity(chain, parity_rows(chain))]
    lines += [*sections.sizes(chain), *sections.boards(chain)]
    lines += [*sections.costs(chain), *_links(chain), *sections.digests(chain)]
    return "\n".join(lines)


def parity_rows(chain: Chain) -> list[ParityRow]:
    """Make the rows of the newest parity ledger, with the measured latencies."""
    if "convert" not in chain.known:
        return []
    return rows(ledger_of(chain, last_ledger(chain)), milliseconds(chain))


def published_links(chain: Chain) -> dict[str, str]:
    """Make a pre-signed link to each published file for people, by name; they work for `obs.link_seconds`."""
    release = published_of(chain)
    store: UploadStore = chain.world.object_store()
    names = [key.removeprefix(release.prefix + "/") for key in release.objects]
    seconds = chain.settings.obs.link_seconds
    return {name: store.link(f"{release.prefix}/{name}", seconds) for name in names if not name.startswith("board/")}


def link_time(seconds: int) -> str:
    """Say how long links work."""
    return f"{seconds / 3600:.3g} hours" if seconds >= 3600 else f"{seconds / 60:.3g} minutes"


def _publish_evaluation(chain: Chain, evaluation: Receipt) -> None:
    table = rows_of(chain, evaluation, "per_class")
    create_table_artifact(table, key="per-class", description="Evaluation by class")
    for output, (key, description) in PICTURES.items():
        _show_picture(chain, evaluation, output, key, description)


def _publish_parity(chain: Chain) -> None:
    """Publish the newest ledger as a table and a picture."""
    table = [row.cells() for row in parity_rows(chain)]
    create_table_artifact(table, key="parity", description="Each form of the model against the checkpoint")
    last = last_ledger(chain)
    _show_picture(chain, last, "picture", "parity-by-class", "Agreement with the checkpoint, hop by hop and by class")


def _show_picture(chain: Chain, receipt: Receipt, output: str, key: str, description: str) -> None:
    create_image_artifact(picture_of(chain, receipt, output), key=key, description=description)


def _cell(text: str) -> str:
    """Put text on one line, and escape Markdown."""
    return re.sub(r"([\\|_*`<\[\]])", r"\\\1", " ".join(text.split()))


def _changed(record: RunRecord) -> str:
    """The settings of a run that differ from its profile."""
    return "".join(f", `{name} = {value}`" for name, value in sorted(record.settings.items()))


def _links(chain: Chain) -> list[str]:
    if "publish" not in chain.known:
        return []
    release = published_of(chain)
    links = published_links(chain)
    lines = ["## Published", "", f"Release `{release.id}` in bucket `{release.bucket}`:", ""]
    lines += [f"- [{name}]({link})" for name, link in links.items()]
    lines += [f"- and {len(release.objects) - len(links)} files under `board/` for the boards"]
    return [*lines, "", f"The links work for {link_time(chain.settings.obs.link_seconds)}.", ""]
