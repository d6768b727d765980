"""The class names of a data set. A separate module, because it is in the key of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def labels(context: StageContext) -> list[str]:
    """Return the class names in the order of their numbers."""
    text = context.files["data"]["batches.meta.txt"].path.read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]
