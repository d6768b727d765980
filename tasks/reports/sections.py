"""Sections of a run's report. A section is empty when its stage has no result; stand-ins are marked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tasks.reports.cache import cached
from tasks.reports.inputs import (
    deployment_of,
    emulated_stages,
    last_ledger,
    ledger_of,
    metrics_of,
    milliseconds,
    picture_of,
    rows_of,
    signs_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.settings.modelarts import ModelArtsSettings
    from infra.store.runs import RunRecord
    from tasks.engine.chain import Chain
    from tasks.release.parity_report import ParityRow

_PARITY = ("from", "to", "verdict", "images", "agreement", "max difference", "accuracy", "worst class")


def summary(chain: Chain, record: RunRecord) -> list[str]:
    """Summarise the run in some sentences."""
    counts = Counter(item.outcome for item in record.stages)
    counted = ", ".join(f"{counts[word]} {word}" for word in ("ran", "reused", "failed") if counts[word])
    failed = [item for item in record.stages if item.outcome == "failed"]
    end = f"Stopped at {failed[0].stage}" if failed else "Done"
    sentences = [f"**{end}**: of {_count(len(record.stages), 'stage')} {counted}."]
    if "evaluate" in chain.known:
        metrics = metrics_of(chain, chain.known["evaluate"])
        sentences.append(f"The network answers **{metrics.accuracy * 100:.1f} %** of {metrics.images:,} images right.")
    if "deploy" in chain.known and not failed:
        deployed = deployment_of(chain)
        sentences.append(f"Release `{deployed.release}` is in service on {_count(len(deployed.boards), 'board')}.")
    if emulated_stages(chain):
        sentences.append("Stand-ins took part: this proves the path, not hardware.")
    return [" ".join(sentences), ""]


def stand_ins(chain: Chain) -> list[str]:
    """List the stages with bytes that a stand-in made."""
    emulated = emulated_stages(chain)
    if not emulated:
        return []
    return ["## Stand-ins", "", f"Stand-ins took part in: {', '.join(emulated)}.", ""]


def learning(chain: Chain) -> list[str]:
    """Show loss, accuracy and learning rate over the epochs."""

    def draw() -> bytes:
        from tasks.reports.run_plots import curves

        return curves(epochs, steps)

    from tasks.aim import page as tracked_page

    training = chain.known.get("train")
    if training is None or "history" not in training.outputs:
        return []
    epochs = rows_of(chain, training, "history")
    steps = rows_of(chain, training, "steps") if "steps" in training.outputs else []
    rates = [float(row["learning_rate"]) for row in steps or epochs]
    lines = ["## Training", ""]
    if epochs:
        inputs = [training.outputs[name].sha256 for name in ("history", "steps") if name in training.outputs]
        lines += [
            f"{_count(len(epochs), 'epoch')} in {training.seconds:.0f} s: training loss {float(epochs[0]['loss']):.4f} "
            f"→ {float(epochs[-1]['loss']):.4f}, learning rate at most {max(rates):.3g}, at the end {rates[-1]:.3g}.",
            "",
            f"![loss, accuracy and learning rate over the epochs]({cached(chain.home, 'curves', inputs, draw)})",
            "",
        ]
    lines += [f"After epoch {sign.epoch}: {sign.text}. {sign.advice}.\n" for sign in signs_of(chain, training)]
    page = tracked_page(chain)
    if page is not None:
        lines += [f"[This training in Aim]({page}), while `atlasflow aim` shows it.", ""]
    return lines


def parity(chain: Chain, rows: Sequence[ParityRow]) -> list[str]:
    """Compare each form of the model with the checkpoint; with the decision of the gate."""
    from tasks.engine.gates import parity_gate

    if "convert" not in chain.known:
        return []
    decision = parity_gate(ledger_of(chain, chain.known["convert"]))
    word = "passed" if decision.ok else "stopped the chain"
    lines = ["## Parity", "", f"The gate {word}: {decision.reason}.", ""]
    lines += [f"| {' | '.join(_PARITY)} |", f"|---|---|---|{'---:|' * 4}---|"]
    for row in rows:
        cells = {**row.cells(), "verdict": row.verdict.partition(":")[0]}  # the table `parity` has the reason
        lines.append(f"| {' | '.join(str(cells[column]) for column in _PARITY)} |")
    lines.append("")
    last = last_ledger(chain)
    if "picture" in last.outputs:
        picture = picture_of(chain, last, "picture")
        lines += [f"![agreement with the checkpoint, hop by hop and by class]({picture})", ""]
    return lines


def sizes(chain: Chain) -> list[str]:
    """Show size and latency of each form of the model."""
    times = milliseconds(chain)
    found: dict[str, int] = {}
    if "train" in chain.known and "checkpoint" in chain.known["train"].outputs:
        found["checkpoint"] = chain.known["train"].outputs["checkpoint"].size
    if "convert" in chain.known:
        ledger = ledger_of(chain, last_ledger(chain))
        found |= {hop.target: hop.bytes for hop in ledger.hops if hop.bytes}
    if not found:
        return []
    lines = ["## Sizes and latencies", "", "| form | bytes | ms an image | measured on |", "|---|---:|---:|---|"]
    for name, size in found.items():
        time = f"{times[name]:.3f}" if name in times else ""
        lines.append(f"| {name} | {size:,} | {time} | {_where(chain, name) if time else ''} |")
    return [*lines, ""]


def boards(chain: Chain) -> list[str]:
    """Show the release on each board, and the result of its smoke test."""
    if "deploy" not in chain.known:
        return []
    deployed = deployment_of(chain)
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
    """Estimate the cost of the training."""
    training = chain.known.get("train")
    if training is None:
        return []
    producer = training.ingredients.get("producer") or {}
    lines = ["## Costs", ""]
    if "modelarts" not in producer.get("name", ""):
        return [*lines, f"Training took {training.seconds:.0f} s on this machine; it cost nothing.", ""]
    if training.emulated:
        return [*lines, "Training ran on the ModelArts stand-in; it cost nothing.", ""]
    return [*lines, _price(chain.settings.modelarts, training.seconds), ""]


def digests(chain: Chain) -> list[str]:
    """List every output with its digest."""
    outputs = [artifact for receipt in chain.known.values() for artifact in receipt.outputs.values()]
    size = sum(artifact.size for artifact in outputs) / 1e6
    counted = f"{_count(len(outputs), 'output')} of {_count(len(chain.known), 'stage')}, {size:.1f} MB"
    lines = ["## Digests", "", f"{counted}. `atlasflow verify` compares what is stored with its digests.", ""]
    lines += ["| stage | output | SHA-256 | bytes |", "|---|---|---|---:|"]
    for name, receipt in chain.known.items():
        lines += [
            f"| {name} | {output} | `{artifact.sha256[:16]}` | {artifact.size:,} |"
            for output, artifact in receipt.outputs.items()
        ]
    return [*lines, ""]


def _where(chain: Chain, form: str) -> str:
    """Name the machine that executed a form of the model."""
    if form.startswith("board "):
        board = deployment_of(chain).boards[form.removeprefix("board ")]
        return "a stand-in board" if board.facts.emulated else "the board"
    if form in ("onnx", "mindir", "air", "checkpoint"):
        return "this machine"
    return "a stand-in" if chain.known["convert"].emulated else "a board"


def _price(settings: ModelArtsSettings, seconds: float) -> str:
    """Estimate the price; the platform bills by its own clock, which does not count the queue."""
    price = settings.prices.get(settings.flavor)
    if price is None:
        return (
            f"Training took {seconds:.0f} s on ModelArts with flavor `{settings.flavor}`, its price is "
            "unknown: set `modelarts.prices`."
        )
    hourly = price * settings.node_count
    return (
        f"Training took {seconds:.0f} s on ModelArts, including the queue: at most {hourly * seconds / 3600:.2f} at "
        f"{hourly:.2f} an hour (estimated from `modelarts.prices`; the bill is the platform's). "
        f"The job could have cost {hourly * settings.auto_stop_hours:.2f} before its automatic stop."
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
