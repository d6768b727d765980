"""A run under the Prefect server, with its progress: one live line a stage in a terminal, plain lines in a pipe."""

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from flows.cli.fresh_run import age
from flows.cli.output import print_facts, print_table, printable
from flows.cli.results import Fact, results
from flows.server import use_server
from infra.prefect_server import server as prefect_server
from infra.prefect_server.watch import watched
from infra.store.atomic import write_text
from infra.store.runs import RunRecord, Runs
from tasks.engine.chain import Chain
from tasks.engine.diff import brief
from tasks.engine.reporter import amount

LINE_SECONDS = 10.0
"""A pipe, a file or a CI log gets a line of progress at this interval."""


LEAST_SHARE = 0.02
"""Of a stage, before its pace says how long the rest will take."""


class TerminalReporter:
    """Shows a progress bar for the stage that runs, and lines above it."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self._now = now
        self._live = console.is_terminal and not os.environ.get("CI")
        self._began: dict[str, float] = {}
        self._said = 0.0
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:9}"),
            BarColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._bars: dict[str, TaskID] = {}

    def line(self, stage: str, text: str) -> None:
        """Print a line."""
        self._bar(stage)
        self.console.print(Text(printable(f"{stage:9} {text}")), soft_wrap=True)

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """Update the bar of the stage; in a pipe, print a line from time to time."""
        shown, left = amount(done, total, unit), self._left(stage, done, total)
        self.bars.update(self._bar(stage), completed=done, total=total or None, shown=shown, left=left)
        if not self._live and self._now() - self._said >= LINE_SECONDS:
            self._said = self._now()
            self.line(stage, ", ".join(filter(None, (shown, left))))

    def _left(self, stage: str, done: float, total: float) -> str:
        """How long the stage will still take at its mean pace; empty while nobody can know."""
        began = self._began.setdefault(stage, self._now())
        spent = self._now() - began
        if not total or not total * LEAST_SHARE < done < total or spent < 1:
            return ""
        return f"about {age(spent * (total - done) / done)} left"

    def _bar(self, stage: str) -> TaskID:
        if stage not in self._bars:
            for bar in self._bars.values():
                self.bars.update(bar, visible=False)
            self._bars[stage] = self.bars.add_task(stage, total=None, shown="", left="")
            self._began[stage] = self._said = self._now()
        return self._bars[stage]


def run_with_prefect(
    chain: Chain, profile: str, overrides: dict[str, str], selected: tuple[str, ...], forced: tuple[str, ...]
) -> None:
    """Run stages as a Prefect flow run; starts the installation's server if it is not up."""
    address, runs = "", Runs(chain.home)
    earlier = runs.of_process(os.getpid())  # process ids are given away again
    try:
        with under_prefect(chain, Console()) as address:
            from flows.pipeline import pipeline_of  # noqa: PLC0415
            from flows.requests import RunRequest, parse_request  # noqa: PLC0415

            values = {"profile": profile, "settings": overrides, "stages": selected, "force": forced}
            pipeline_of(chain)(parse_request(RunRequest, values))
    finally:
        record = runs.of_process(os.getpid())
        if record is not None and record != earlier:
            show_result(chain, record, address)


@contextmanager
def under_prefect(chain: Chain, console: Console) -> Iterator[str]:
    """Run the flows of the block on the Prefect server; yields the server's address.

    Prefect reads its settings at import: import nothing that imports it before the block.
    """
    gc.enable()  # `flows.cli.main` disables it for quick commands
    reporter = TerminalReporter(console)
    services = chain.world.services
    settings = chain.settings.prefect
    with reporter.bars:
        reporter.line("prefect", f"server at {prefect_server.address(services, settings)}")
        prefect_server.start(services, chain.home, settings)
        address = prefect_server.address(services, settings)  # it may have moved to another port
        use_server(chain)
        from tasks.engine.reporter import reporter as current  # noqa: PLC0415

        token = current.set(reporter)
        try:
            with watched(services, chain.home, settings, lambda text: reporter.line("prefect", text)):
                yield address
        finally:
            current.reset(token)


def show_result(chain: Chain, record: RunRecord, server: str) -> None:
    """Print the table of stages, the results, and where to look next; links to what was published go to a file.

    Args:
        chain: of the run.
        record: of the run.
        server: address of the Prefect server.
    """
    sent = {item.stage: item.key for item in record.stages if item.stage == "publish" and item.outcome == "ran"}
    links = _save_links(chain) if sent and chain.adopt(sent) else []
    rows = []
    for item in record.stages:
        seconds = f"{item.seconds:.1f} s" if item.outcome != "failed" else ""
        rows.append((item.stage, item.outcome, brief(item.reason), seconds, item.note))
    print_table(("stage", "outcome", "why", "time", "result"), rows, right=("time",))
    done = {item.stage: item.key for item in record.stages if item.outcome != "failed"}
    shown = results(chain, done) if chain.adopt(done) else []
    print_facts([*shown, *links, ("run in Prefect", f"{server}/runs/flow-run/{record.flow_run}")])


def _save_links(chain: Chain) -> list[Fact]:
    """Save a link to each published file where only this user reads it: who has a link needs no other right."""
    from tasks.reports.run import link_time, published_links  # noqa: PLC0415 - only after a run

    path, links = chain.home / "links.txt", published_links(chain)
    write_text(path, "".join(f"{name}\t{link}\n" for name, link in links.items()), mode=0o600)
    life = link_time(chain.settings.obs.link_seconds)
    return [("links", f"{path}: to {len(links)} published files, for {life}")]
