"""Everything that is shown in the Prefect UI: the report of a run, the per-class table, the evaluation's pictures."""

import base64
import csv
import json
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from infra.store.receipts import Receipt
from infra.store.runs import RunRecord
from tasks.explain import brief
from tasks.gates import parity_gate
from tasks.parity_files import rows
from tasks.stage import Chain

PICTURES = {
    "confusion": ("confusion-matrix", "Rows: the true class; columns: the answer"),
    "reliability": ("reliability", "How often answers of each confidence are right"),
    "mistakes": ("confident-mistakes", "The wrong answers that the network was most sure of"),
}
"""Output of the evaluation to the key and the description of its artifact."""


def publish(chain: Chain, record: RunRecord) -> None:
    """Attach the report to the current flow run; the pictures travel inside it, so that they never expire."""
    create_markdown_artifact(markdown(chain, record), key="report", description="What ran, and what came of it")
    if "evaluate" in chain.known:
        _publish_evaluation(chain, chain.known["evaluate"])
    if "convert" in chain.known:
        _publish_parity(chain)


def _publish_evaluation(chain: Chain, evaluation: Receipt) -> None:
    with chain.store.path(evaluation.outputs["per_class"]).open(newline="") as file:
        create_table_artifact(list(csv.DictReader(file)), key="per-class", description="Evaluation by class")
    for output, (key, description) in PICTURES.items():
        _show_picture(chain, evaluation, output, key, description)


def _publish_parity(chain: Chain) -> None:
    """The ledger as a table and a picture; with the boards once they are deployed to."""
    create_table_artifact(parity_rows(chain), key="parity", description="Each form of the model against the checkpoint")
    last = _last_ledger(chain)
    _show_picture(chain, last, "picture", "parity-by-class", "Agreement with the checkpoint, hop by hop and by class")


def _show_picture(chain: Chain, receipt: Receipt, output: str, key: str, description: str) -> None:
    picture = chain.store.path(receipt.outputs[output]).read_bytes()
    address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    create_image_artifact(address, key=key, description=description)


def parity_rows(chain: Chain) -> list[dict[str, Any]]:
    """The rows of the newest parity ledger that is known, with the milliseconds that each stage measured."""
    times: dict[str, float] = {}
    if "export" in chain.known:
        measured = _read_json(chain, chain.known["export"], "latency")
        times |= {name: said["milliseconds"] for name, said in measured.items()}
    for receipt in (chain.known["convert"], _last_ledger(chain)):
        times |= _read_json(chain, receipt, "latency")
    return rows(_read_json(chain, _last_ledger(chain), "ledger"), times)


def _last_ledger(chain: Chain) -> Receipt:
    """The receipt with the newest ledger: a deployment of a release from elsewhere has none."""
    deployment = chain.known.get("deploy")
    return deployment if deployment is not None and "ledger" in deployment.outputs else chain.known["convert"]


def markdown(chain: Chain, record: RunRecord) -> str:
    """The report of a run as Markdown."""
    lines = [f"# Run {record.id}", "", f"Profile `{record.profile}`.", ""]
    lines += ["| stage | outcome | why | seconds | note |", "|---|---|---|---:|---|"]
    lines += [
        f"| {item.stage} | {item.outcome} | {_cell(brief(item.reason))} | {item.seconds:.1f} | {_cell(item.note)} |"
        for item in record.stages
    ]
    lines += ["", *_accuracy(chain), *_chosen(chain), *_stand_ins(chain), *_links(chain), *_digests(chain)]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _read_json(chain: Chain, receipt: Receipt, output: str) -> Any:
    return json.loads(chain.store.path(receipt.outputs[output]).read_text(encoding="utf-8"))


def _accuracy(chain: Chain) -> list[str]:
    evaluation = chain.known.get("evaluate")
    if evaluation is None:
        return []
    metrics = _read_json(chain, evaluation, "metrics")
    low, high = metrics["accuracy_interval_95"]
    return [
        "## Accuracy",
        "",
        f"**{metrics['accuracy']:.4f}** on {metrics['images']:,} evaluation images "
        f"(95 % Wilson interval {low:.4f} – {high:.4f}), mean loss {metrics['loss']:.4f}.",
        "",
    ]


def _chosen(chain: Chain) -> list[str]:
    conversion = chain.known.get("convert")
    if conversion is None:
        return []
    decision = parity_gate(_read_json(chain, conversion, "ledger"))
    word = "passed" if decision.ok else "stopped the chain"
    return ["## Parity", "", f"The gate {word}: {decision.reason}.", ""]


def _stand_ins(chain: Chain) -> list[str]:
    tainted = [name for name, receipt in chain.known.items() if receipt.emulated]
    if not tainted:
        return []
    return ["## Stand-ins", "", f"A stand-in had a hand in the bytes of: {', '.join(tainted)}.", ""]


def published_links(chain: Chain) -> dict[str, str]:
    """A pre-signed link to each published file for people, by its name; they work for `obs.link_seconds`."""
    release = _read_json(chain, chain.known["publish"], "published")
    store = chain.world.object_store()
    names = [key.removeprefix(release["prefix"] + "/") for key in release["objects"]]
    seconds = chain.settings.obs.link_seconds
    return {name: store.link(f"{release['prefix']}/{name}", seconds) for name in names if not name.startswith("board/")}


def link_time(seconds: int) -> str:
    """How long links work, in words."""
    return f"{seconds / 3600:.3g} hours" if seconds >= 3600 else f"{seconds / 60:.3g} minutes"


def _links(chain: Chain) -> list[str]:
    published = chain.known.get("publish")
    if published is None:
        return []
    release = _read_json(chain, published, "published")
    links = published_links(chain)
    lines = ["## Published", "", f"Release `{release['id']}` in bucket `{release['bucket']}`:", ""]
    lines += [f"- [{name}]({link})" for name, link in links.items()]
    lines += [f"- and {len(release['objects']) - len(links)} files under `board/`, which is what boards get"]
    return [*lines, "", f"The links work for {link_time(chain.settings.obs.link_seconds)}.", ""]


def _digests(chain: Chain) -> list[str]:
    lines = ["## Digests", "", "| stage | output | SHA-256 | bytes |", "|---|---|---|---:|"]
    for name, receipt in chain.known.items():
        lines += [
            f"| {name} | {output} | `{artifact.sha256[:16]}` | {artifact.size:,} |"
            for output, artifact in receipt.outputs.items()
        ]
    return [*lines, ""]
