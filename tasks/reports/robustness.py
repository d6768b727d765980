"""The section of a run's report about corrupted images; empty where robustness was not measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.metrics import Robustness

if TYPE_CHECKING:
    from tasks.engine.chain import Chain


def robustness(chain: Chain) -> list[str]:
    """Accuracy by corruption and severity, and its picture."""
    from tasks.reports.run_plots import embedded

    measured = chain.known.get("robustness")
    if measured is None:
        return []
    found = Robustness.read(chain.store.path(measured.outputs["robustness"]))
    severities = sorted({severity for row in found.accuracy.values() for severity in row})
    lines = [
        "## Robustness",
        "",
        f"Mean corruption error **{found.mean_error:.4f}** on {found.images:,} images; accuracy on the same images "
        f"without corruption {found.clean_accuracy:.4f}.",
        "",
        f"| corruption | {' | '.join(f'severity {severity}' for severity in severities)} |",
        f"|---|{'---:|' * len(severities)}",
    ]
    for name, row in found.accuracy.items():
        cells = " | ".join(f"{row[severity]:.3f}" for severity in severities)
        lines.append(f"| {name.replace('_', ' ')} | {cells} |")
    picture = embedded(chain.store.path(measured.outputs["plot"]))
    return [*lines, "", f"![accuracy by corruption and severity]({picture})", ""]
