"""The current reporter: the command sets its display here; without one, only the log of the run has the lines."""

from contextvars import ContextVar

from tasks.engine.stage import Reporter


class Silent:
    """Reports to nobody; a flow run still has its log."""

    def line(self, stage: str, text: str) -> None:
        """One line to read."""

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """The progress of the stage."""


reporter: ContextVar[Reporter] = ContextVar("reporter", default=Silent())  # noqa: B039 - it has no state


def amount(done: float, total: float, unit: str) -> str:
    """Format progress: `3 of 30 epochs`, `1.5 of 20.0 MB`."""
    return f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if unit == "bytes" else f"{done:.0f} of {total:.0f} {unit}"
