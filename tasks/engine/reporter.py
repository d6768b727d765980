"""Who is told what a stage is doing: the command puts its own display here; without one, the log of the run has it."""

from contextvars import ContextVar

from tasks.engine.stage import Reporter


class Silent:
    """Tells nobody; a flow run still has its log."""

    def line(self, stage: str, text: str) -> None:
        """One line to read."""

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """How far the stage is."""


reporter: ContextVar[Reporter] = ContextVar("reporter", default=Silent())  # noqa: B039 - it has no state


def amount(done: float, total: float, unit: str) -> str:
    """How far something is, in words: `3 of 30 epochs`, `1.5 of 20.0 MB`."""
    return f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if unit == "bytes" else f"{done:.0f} of {total:.0f} {unit}"
