"""Everything that is shown in the Prefect UI of a run of the chain: its report, tables, and the evaluation's pictures.

Pictures travel inside the artifacts as `data:` addresses, which both of Prefect's interfaces show: a link would expire,
or name a machine that is gone. The numbers that they show are repeated in words.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from tasks.engine.diff import brief
from tasks.release.ledger import Ledger
from tasks.release.parity_report import rows
from tasks.reports import sections
from tasks.reports.robustness import robustness
from tasks.reports.sections import last_ledger, read_json

if TYPE_CHECKING:
    from infra.ports.storage import UploadStore
    from infra.store.receipts import Receipt
    from infra.store.runs import RunRecord
    from tasks.engine.chain import Chain

PICTURES = {
    "confusion": ("confusion-matrix", "Rows: the true class; columns: the answer"),
    "reliability": ("reliability", "How often answers of each confidence are right"),
    "mistakes": ("confident-mistakes", "The wrong answers that the network was most sure of"),
}
"""Output of the evaluation to the key and the description of its artifact."""


def publish(chain: Chain, record: RunRecord) -> None:
    """Attach the report to the current flow run, and its tables and pictures one by one for their history."""
    create_markdown_artifact(markdown(chain, record), key="report", description="What ran, and what came of it")
    if "evaluate" in chain.known:
        _publish_evaluation(chain, chain.known["evaluate"])
    if "convert" in chain.known:
        _publish_parity(chain)


def markdown(chain: Chain, record: RunRecord) -> str:
    """The report of a run as Markdown."""
    lines = [f"# Run {record.id}", "", *sections.summary(chain, record), f"Profile `{record.profile}`.", ""]
    lines += ["| stage | outcome | seconds | what came of it | why |", "|---|---|---:|---|---|"]
    lines += [
        f"| {item.stage} | {item.outcome} | {item.seconds:.1f} | {_cell(item.note)} | {_cell(brief(item.reason))} |"
        for item in record.stages
    ]
    lines += ["", *sections.stand_ins(chain), *sections.accuracy(chain), *sections.learning(chain)]
    lines += [*robustness(chain), *sections.parity(chain, parity_rows(chain))]
    lines += [*sections.sizes(chain), *sections.boards(chain)]
    lines += [*sections.costs(chain), *_links(chain), *sections.digests(chain)]
    return "\n".join(lines)


def parity_rows(chain: Chain) -> list[dict[str, Any]]:
    """The rows of the newest parity ledger that is known, with the milliseconds that each stage measured."""
    if "convert" not in chain.known:
        return []
    return rows(Ledger.from_json(read_json(chain, last_ledger(chain), "ledger")), sections.milliseconds(chain))


def published_links(chain: Chain) -> dict[str, str]:
    """A pre-signed link to each published file for people, by its name; they work for `obs.link_seconds`."""
    release = read_json(chain, chain.known["publish"], "published")
    store: UploadStore = chain.world.object_store()
    names = [key.removeprefix(release["prefix"] + "/") for key in release["objects"]]
    seconds = chain.settings.obs.link_seconds
    return {name: store.link(f"{release['prefix']}/{name}", seconds) for name in names if not name.startswith("board/")}


def link_time(seconds: int) -> str:
    """How long links work, in words."""
    return f"{seconds / 3600:.3g} hours" if seconds >= 3600 else f"{seconds / 60:.3g} minutes"


def _publish_evaluation(chain: Chain, evaluation: Receipt) -> None:
    with chain.store.path(evaluation.outputs["per_class"]).open(newline="") as file:
        create_table_artifact(list(csv.DictReader(file)), key="per-class", description="Evaluation by class")
    for output, (key, description) in PICTURES.items():
        _show_picture(chain, evaluation, output, key, description)


def _publish_parity(chain: Chain) -> None:
    """The ledger as a table and a picture; with the boards once they are deployed to."""
    create_table_artifact(parity_rows(chain), key="parity", description="Each form of the model against the checkpoint")
    last = last_ledger(chain)
    _show_picture(chain, last, "picture", "parity-by-class", "Agreement with the checkpoint, hop by hop and by class")


def _show_picture(chain: Chain, receipt: Receipt, output: str, key: str, description: str) -> None:
    create_image_artifact(sections.shown(chain, receipt, output), key=key, description=description)


def _cell(text: str) -> str:
    """Text in one line in which no character means anything to Markdown."""
    return re.sub(r"([\\|_*`<\[\]])", r"\\\1", " ".join(text.split()))


def _links(chain: Chain) -> list[str]:
    published = chain.known.get("publish")
    if published is None:
        return []
    release = read_json(chain, published, "published")
    links = published_links(chain)
    lines = ["## Published", "", f"Release `{release['id']}` in bucket `{release['bucket']}`:", ""]
    lines += [f"- [{name}]({link})" for name, link in links.items()]
    lines += [f"- and {len(release['objects']) - len(links)} files under `board/`, which is what boards get"]
    return [*lines, "", f"The links work for {link_time(chain.settings.obs.link_seconds)}.", ""]
