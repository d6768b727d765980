"""A run under the Prefect server, with its progress in the terminal."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from flows.cli.output import print_facts, print_line, print_table, printable
from flows.server import use_server
from infra.prefect_server import server as prefect_server
from infra.store.runs import RunRecord, Runs
from tasks.engine.chain import Chain
from tasks.engine.diff import brief
from tasks.engine.reporter import amount


class TerminalReporter:
    """Shows a progress bar for the stage that runs, and lines above it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:9}"),
            BarColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}

    def line(self, stage: str, text: str) -> None:
        """Print a line."""
        self._bar(stage)
        self.console.print(Text(printable(f"{stage:9} {text}")), soft_wrap=True)

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """Update the bar of the stage."""
        self.bars.update(self._bar(stage), completed=done, total=total or None, shown=amount(done, total, unit))

    def _bar(self, stage: str) -> TaskID:
        if stage not in self._bars:
            for bar in self._bars.values():
                self.bars.update(bar, visible=False)
            self._bars[stage] = self.bars.add_task(stage, total=None, shown="")
        return self._bars[stage]


def run_with_prefect(
    chain: Chain, profile: str, overrides: dict[str, str], selected: tuple[str, ...], forced: tuple[str, ...]
) -> None:
    """Run stages as a Prefect flow run; starts the installation's server if it is not up."""
    address = ""
    try:
        with under_prefect(chain, Console()) as address:
            from flows.pipeline import pipeline_of  # noqa: PLC0415
            from flows.requests import RunRequest, parse_request  # noqa: PLC0415

            values = {"profile": profile, "settings": overrides, "stages": selected, "force": forced}
            pipeline_of(chain)(parse_request(RunRequest, values))
    finally:
        own = [record for record in Runs(chain.home).latest(5) if record.id.endswith(f"-{os.getpid()}")]
        for record in own[:1]:
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
            yield address
        finally:
            current.reset(token)


def show_result(chain: Chain, record: RunRecord, server: str) -> None:
    """Print links to what was published, then the table of stages and where to look next.

    Args:
        chain: of the run.
        record: of the run.
        server: address of the Prefect server.
    """
    sent = {item.stage: item.key for item in record.stages if item.stage == "publish" and item.outcome == "ran"}
    if sent and chain.adopt(sent):
        _show_links(chain)
    rows = []
    for item in record.stages:
        seconds = f"{item.seconds:.1f} s" if item.outcome != "failed" else ""
        rows.append((item.stage, item.outcome, brief(item.reason), seconds, item.note))
    print_table(("stage", "outcome", "why", "time", "result"), rows, right=("time",))
    latest = chain.home / "latest"
    done = {item.stage for item in record.stages if item.outcome != "failed"}
    places = [
        ("evaluate", "confusion matrix", latest / "evaluate" / "confusion.png"),
        ("deploy", "classified pictures", latest / "deploy" / "pictures"),
    ]
    shown = [(name, str(place)) for stage, name, place in places if stage in done]
    print_facts([*shown, ("run in Prefect", f"{server}/runs/flow-run/{record.flow_run}")])


def _show_links(chain: Chain) -> None:
    from tasks.reports.run import link_time, published_links  # noqa: PLC0415 - only after a run

    print_line(f"published; these links work for {link_time(chain.settings.obs.link_seconds)}:")
    print_facts([(f"  {name}", link) for name, link in published_links(chain).items()])
