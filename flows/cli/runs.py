"""`atlasflow runs`: recent runs, with outcome, duration, accuracy and what was set."""

import re
import time
from dataclasses import dataclass
from typing import Annotated

import typer

from flows.cli.fresh_run import age
from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line, print_table
from flows.context import open_chain
from infra.errors import UserError
from infra.store.runs import RunRecord, Runs
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.metrics import Metrics

_UNITS = {"min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(_UNITS)})")


@dataclass(frozen=True)
class Row:
    """A run as `runs --json` prints it.

    Attributes:
        run: its id.
        started: in seconds since 1970.
        seconds: spent in stages that ran.
        outcome: `done`, or `failed at STAGE`.
        accuracy: 0 to 1; None where it evaluated nothing, or the evaluation is gone.
        ran: stages that ran; the others were reused.
        settings: those that override the profile.
        flow_run: id of the run in Prefect.
    """

    run: str
    started: float
    seconds: float
    outcome: str
    accuracy: float | None
    ran: tuple[str, ...]
    settings: dict[str, str]
    flow_run: str


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Examples: `atlasflow runs` · `atlasflow runs --last 7d --json`")(runs)


def runs(
    last: Annotated[str, typer.Option(help="A number of runs, such as 20, or a span: 12h, 7d, 4w.")] = "20",
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """List recent runs, newest first: outcome, duration, accuracy, and the settings that they changed."""
    chain = open_chain(profile, parse_overrides(settings), Silent())
    rows = [_row(chain, record) for record in _select(Runs(chain.home), last)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        print_line("There is no such run.")
        return
    titles = ("run", "started", "took", "outcome", "accuracy", "ran", "settings")
    print_table(titles, [_cells(row) for row in rows], right=("took", "accuracy"))


def _select(records: Runs, last: str) -> list[RunRecord]:
    if last.isdecimal():
        return records.latest(int(last))
    span = _SPAN.fullmatch(last)
    if span is None:
        raise UserError(f"'{last}' is neither a number of runs nor a span", hint="write 20, 90min, 12h, 7d or 4w")
    since = time.time() - float(span[1]) * _UNITS[span[2]]
    return [record for record in records.latest() if record.started >= since]


def _row(chain: Chain, record: RunRecord) -> Row:
    failed = next((item.stage for item in record.stages if item.outcome == "failed"), "")
    ran = tuple(item.stage for item in record.stages if item.outcome == "ran")
    return Row(
        record.id,
        record.started,
        sum(item.seconds for item in record.stages),
        f"failed at {failed}" if failed else "done",
        _accuracy(chain, record),
        ran,
        record.settings,
        record.flow_run,
    )


def _accuracy(chain: Chain, record: RunRecord) -> float | None:
    """The accuracy that the run measured or reused, while the home still has it."""
    for item in record.stages:
        receipt = chain.receipts.load(item.stage, item.key) if item.stage == "evaluate" and item.key else None
        if receipt is not None:
            path = chain.store.path(receipt.outputs["metrics"])
            return Metrics.read(path).accuracy if path.exists() else None
    return None


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.run,
        f"{age(time.time() - row.started)} ago",
        f"{row.seconds:.1f} s",
        row.outcome,
        "" if row.accuracy is None else f"{row.accuracy:.2%}",
        " ".join(row.ran) or "nothing",
        " ".join(f"{name}={value}" for name, value in row.settings.items()),
    )
