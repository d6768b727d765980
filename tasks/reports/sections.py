"""The sections of a run's report. Each says what is known and is empty where nothing is; stand-ins say so."""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from tasks.metrics import Metrics
from tasks.reports.cache import kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from infra.settings.modelarts import ModelArtsSettings
    from infra.store.receipts import Receipt
    from infra.store.runs import RunRecord
    from tasks.engine.chain import Chain

_SAMPLES = 25
_PARITY = ("from", "to", "verdict", "images", "agreement", "max difference", "accuracy", "worst class")


def summary(chain: Chain, record: RunRecord) -> list[str]:
    """What came of the run, in some sentences for somebody in a hurry."""
    counts = Counter(item.outcome for item in record.stages)
    did = ", ".join(f"{counts[word]} {word}" for word in ("ran", "reused", "failed") if counts[word])
    failed = [item for item in record.stages if item.outcome == "failed"]
    end = f"Stopped at {failed[0].stage}" if failed else "Done"
    said = [f"**{end}**: of {_count(len(record.stages), 'stage')} {did}."]
    if "evaluate" in chain.known:
        metrics = metrics_of(chain, chain.known["evaluate"])
        said.append(f"The network answers **{metrics.accuracy * 100:.1f} %** of {metrics.images:,} images right.")
    if "deploy" in chain.known and not failed:
        deployed = read_json(chain, chain.known["deploy"], "boards")
        said.append(f"Release `{deployed['release']}` is in service on {_count(len(deployed['boards']), 'board')}.")
    tainted = _tainted(chain)
    if tainted:
        said.append("Stand-ins took part: this proves the path, not hardware.")
    return [" ".join(said), ""]


def stand_ins(chain: Chain) -> list[str]:
    """Whose bytes are not from the real thing."""
    tainted = _tainted(chain)
    if not tainted:
        return []
    return ["## Stand-ins", "", f"A stand-in had a hand in the bytes of: {', '.join(tainted)}.", ""]


def accuracy(chain: Chain) -> list[str]:
    """Accuracy with its interval, the classes, the confusion matrix, and some images with their answers."""
    evaluation = chain.known.get("evaluate")
    if evaluation is None:
        return []
    metrics = metrics_of(chain, evaluation)
    low, high = metrics.interval
    lines = [
        "## Accuracy",
        "",
        f"**{metrics.accuracy:.4f}** on {metrics.images:,} evaluation images "
        f"(95 % Wilson interval {low:.4f} – {high:.4f}), mean loss {metrics.loss:.4f}.",
        "",
        "| class | precision | recall | F1 | images |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.name} | {row.precision:.3f} | {row.recall:.3f} | {row.f1:.3f} | {row.support} |"
        for row in metrics.per_class
    ]
    lines.append("")
    if "confusion" in evaluation.outputs:
        picture = shown(chain, evaluation, "confusion")
        lines += [f"![confusion matrix: rows are the true class, columns the answer]({picture})", ""]
    return [*lines, *_samples(chain, evaluation, metrics.classes)]


def learning(chain: Chain) -> list[str]:
    """How the training went: loss, accuracy and learning rate over the epochs."""

    def draw() -> bytes:
        from tasks.reports.run_plots import curves

        return curves(epochs, steps)

    from tasks.aim import page as tracked_page

    training = chain.known.get("train")
    if training is None or "history" not in training.outputs:
        return []
    epochs = _read_rows(chain, training, "history")
    steps = _read_rows(chain, training, "steps") if "steps" in training.outputs else []
    rates = [float(row["learning_rate"]) for row in steps or epochs]
    lines = ["## Training", ""]
    if epochs:
        inputs = [training.outputs[name].sha256 for name in ("history", "steps") if name in training.outputs]
        lines += [
            f"{_count(len(epochs), 'epoch')} in {training.seconds:.0f} s: training loss {float(epochs[0]['loss']):.4f} "
            f"→ {float(epochs[-1]['loss']):.4f}, learning rate at most {max(rates):.3g}, at the end {rates[-1]:.3g}.",
            "",
            f"![loss, accuracy and learning rate over the epochs]({kept(chain.home, 'curves', inputs, draw)})",
            "",
        ]
    page = tracked_page(chain)
    if page is not None:
        lines += [f"[This training in Aim]({page}), while `atlasflow aim` shows it.", ""]
    return lines


def parity(chain: Chain, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each form of the model against the checkpoint, and what the gate said."""
    from tasks.engine.gates import parity_gate
    from tasks.release.ledger import Ledger

    if "convert" not in chain.known:
        return []
    decision = parity_gate(Ledger.from_json(read_json(chain, chain.known["convert"], "ledger")))
    word = "passed" if decision.ok else "stopped the chain"
    lines = ["## Parity", "", f"The gate {word}: {decision.reason}.", ""]
    lines += [f"| {' | '.join(_PARITY)} |", f"|---|---|---|{'---:|' * 4}---|"]
    for row in rows:
        cells = {**row, "verdict": row["verdict"].partition(":")[0]}  # the table `parity` has the reason
        lines.append(f"| {' | '.join(str(cells[column]) for column in _PARITY)} |")
    lines.append("")
    last = last_ledger(chain)
    if "picture" in last.outputs:
        picture = shown(chain, last, "picture")
        lines += [f"![agreement with the checkpoint, hop by hop and by class]({picture})", ""]
    return lines


def sizes(chain: Chain) -> list[str]:
    """Bytes and milliseconds of each form of the model."""
    from tasks.release.ledger import Ledger

    times = milliseconds(chain)
    found: dict[str, int] = {}
    if "train" in chain.known and "checkpoint" in chain.known["train"].outputs:
        found["checkpoint"] = chain.known["train"].outputs["checkpoint"].size
    if "convert" in chain.known:
        ledger = Ledger.from_json(read_json(chain, last_ledger(chain), "ledger"))
        found |= {hop.target: hop.bytes for hop in ledger.hops if hop.bytes}
    if not found:
        return []
    lines = ["## Sizes and latencies", "", "| form | bytes | ms an image | measured on |", "|---|---:|---:|---|"]
    for name, size in found.items():
        time = f"{times[name]:.3f}" if name in times else ""
        lines.append(f"| {name} | {size:,} | {time} | {_where(chain, name) if time else ''} |")
    return [*lines, ""]


def boards(chain: Chain) -> list[str]:
    """What runs on each board, and what its smoke test said."""
    from tasks.release.deployment import Deployment

    if "deploy" not in chain.known:
        return []
    deployed = Deployment.from_json(read_json(chain, chain.known["deploy"], "boards"))
    lines = ["## Boards", "", f"Release `{deployed.release}`.", ""]
    lines += ["| board | chip | CANN | smoke test | ms an image |", "|---|---|---|---|---:|"]
    for name, board in deployed.boards.items():
        who = f"{name} (stand-in)" if board.facts.emulated else name
        agreed = time = ""
        if (smoke := board.smoke) is not None:
            agreed = f"{smoke.agreement * 100:.0f} % of {smoke.images} images agree"
            time = "" if smoke.milliseconds is None else f"{smoke.milliseconds:.3f}"
        lines.append(f"| {who} | {board.facts.soc_version} | {board.facts.cann} | {agreed} | {time} |")
    return [*lines, ""]


def costs(chain: Chain) -> list[str]:
    """What the training cost, as far as it can be told from here."""
    training = chain.known.get("train")
    if training is None:
        return []
    producer = training.ingredients.get("producer") or {}
    lines = ["## Costs", ""]
    if "modelarts" not in producer.get("name", ""):
        return [*lines, f"Training took {training.seconds:.0f} s on this machine; nothing was paid for it.", ""]
    if training.emulated:
        return [*lines, "Training ran on the ModelArts stand-in; nothing was paid for it.", ""]
    return [*lines, _price(chain.settings.modelarts, training.seconds), ""]


def digests(chain: Chain) -> list[str]:
    """Every output by its digest."""
    lines = ["## Digests", "", "| stage | output | SHA-256 | bytes |", "|---|---|---|---:|"]
    for name, receipt in chain.known.items():
        lines += [
            f"| {name} | {output} | `{artifact.sha256[:16]}` | {artifact.size:,} |"
            for output, artifact in receipt.outputs.items()
        ]
    return [*lines, ""]


def milliseconds(chain: Chain) -> dict[str, float]:
    """Milliseconds an image by the name of a form of the model, as the stages measured them."""
    times: dict[str, float] = {}
    if "export" in chain.known and "latency" in chain.known["export"].outputs:
        measured = read_json(chain, chain.known["export"], "latency")
        times |= {name: said["milliseconds"] for name, said in measured.items()}
    if "convert" in chain.known:
        for receipt in (chain.known["convert"], last_ledger(chain)):
            times |= read_json(chain, receipt, "latency")
    return times


def last_ledger(chain: Chain) -> Receipt:
    """The receipt with the newest ledger: a deployment of a release from elsewhere has none."""
    deployment = chain.known.get("deploy")
    return deployment if deployment is not None and "ledger" in deployment.outputs else chain.known["convert"]


def read_json(chain: Chain, receipt: Receipt, output: str) -> Any:
    """An output of a stage that is JSON."""
    return json.loads(chain.store.path(receipt.outputs[output]).read_text(encoding="utf-8"))


def metrics_of(chain: Chain, evaluation: Receipt) -> Metrics:
    """The metrics of an evaluation."""
    return Metrics.read(chain.store.path(evaluation.outputs["metrics"]))


def shown(chain: Chain, receipt: Receipt, output: str) -> str:
    """A picture that a stage made, as a `data:` address."""

    def draw() -> bytes:
        from tasks.reports.run_plots import small

        return small(chain.store.path(receipt.outputs[output]))

    return kept(chain.home, output, [receipt.outputs[output].sha256], draw)


def _chosen(count: int) -> list[int]:
    """Places of the images that the sample shows: spread evenly over all, whatever the answers were."""
    shown_images = min(count, _SAMPLES)
    return [number * (count - 1) // max(1, shown_images - 1) for number in range(shown_images)]


def _samples(chain: Chain, evaluation: Receipt, names: Sequence[str]) -> list[str]:
    import numpy as np

    def draw() -> bytes:
        from tasks.reports.run_plots import samples

        return samples(_images(chain)[places], labels, logits, names)

    if "download" not in chain.known or "predictions" not in evaluation.outputs:
        return []
    with np.load(chain.store.path(evaluation.outputs["predictions"]), allow_pickle=False) as said:
        labels, logits = said["labels"], said["logits"]
    places = _chosen(len(labels))
    labels, logits = labels[places], logits[places]
    inputs = [chain.known["download"].outputs["data"].sha256, evaluation.outputs["predictions"].sha256, *names]
    right = int((logits.argmax(axis=1) == labels).sum())
    return [
        f"Some of the evaluation images, spread evenly: {right} of these {len(places)} answers are right (✓), "
        f"{len(places) - right} wrong (✗).",
        "",
        f"![evaluation images with their answers]({kept(chain.home, 'samples', inputs, draw)})",
        "",
    ]


def _images(chain: Chain) -> np.ndarray[Any, Any]:
    import numpy as np

    from tasks.evaluation_images import RECORD_BYTES

    file = chain.store.files(chain.known["download"].outputs["data"])["eval/test_batch.bin"]
    planes = np.fromfile(file.path, np.uint8).reshape(-1, RECORD_BYTES)[:, 1:].reshape(-1, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1)


def _read_rows(chain: Chain, receipt: Receipt, output: str) -> list[dict[str, str]]:
    with chain.store.path(receipt.outputs[output]).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _tainted(chain: Chain) -> list[str]:
    return [name for name, receipt in chain.known.items() if receipt.emulated]


def _where(chain: Chain, form: str) -> str:
    """Who executed a form of the model."""
    if form.startswith("board "):
        told = read_json(chain, chain.known["deploy"], "boards")["boards"][form.removeprefix("board ")]
        return "a stand-in board" if told["facts"]["emulated"] else "the board"
    if form in ("onnx", "mindir", "air", "checkpoint"):
        return "this machine"
    return "a stand-in" if chain.known["convert"].emulated else "a board"


def _price(settings: ModelArtsSettings, seconds: float) -> str:
    """An estimate: the platform bills by its own clock, which does not count the queue."""
    price = settings.prices.get(settings.flavor)
    if price is None:
        return (
            f"Training took {seconds:.0f} s on ModelArts with flavor `{settings.flavor}`, whose price is not known "
            "here: set `modelarts.prices`."
        )
    hourly = price * settings.node_count
    return (
        f"Training took {seconds:.0f} s on ModelArts, its queue included: at most {hourly * seconds / 3600:.2f} at "
        f"{hourly:.2f} an hour (estimated from `modelarts.prices`; the bill is the platform's). "
        f"The job could have cost {hourly * settings.auto_stop_hours:.2f} before it was stopped by itself."
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
