"""A project: settings, the home they belong to, and what can be done with both."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from flows.context import all_fresh, open_chain
from flows.project.result import RunResult
from flows.server import use_server
from infra.errors import UserError
from infra.home import PROJECT, enter_project
from infra.prefect_server import server
from infra.prefect_server.watch import watched
from infra.store.runs import RunRecord, Runs, StageRecord
from tasks.engine.reporter import Silent, amount
from tasks.pipeline import select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from infra.settings import Settings
    from tasks.engine.chain import Chain
    from tasks.engine.stage import Reporter
    from tasks.engine.state import StageState
    from tasks.reports.training_comparison import TrainingComparison

Result = TypeVar("Result")
Value = str | float | bool | list[str] | tuple[str, ...]
LINE_SECONDS = 10.0


class Lines:
    """Prints what a run reports: its lines, and every ten seconds how far a stage is."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._said = now()

    def line(self, stage: str, text: str) -> None:
        """Print a line."""
        self._said = self._now()
        print(f"{stage:9} {text}")

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """Print the progress, unless it was printed a moment ago."""
        if self._now() - self._said >= LINE_SECONDS:
            self.line(stage, amount(done, total, unit))


class Project:
    """Settings, and the home that holds what was made with them.

    The home is that of the command: `$ATLASFLOW_HOME`, else that of the project around the current folder, else
    `.atlasflow` in the checkout.
    """

    def __init__(
        self, settings: Mapping[str, Value] | None = None, *, profile: str | None = None, quiet: bool = False
    ) -> None:
        """Read the settings; nothing is started.

        Args:
            settings: those that override the profile, such as `{"train.epochs": 3}`; never secrets.
            profile: local, twin, cloud, or a TOML file; by default the project's own, else local.
            quiet: print nothing during a run.

        Raises:
            UserError: a setting is wrong.
        """
        enter_project()
        self._profile = profile or os.environ.get(PROJECT, "local")
        self._overrides = {name: _text(value) for name, value in (settings or {}).items()}
        self._reporter: Reporter = Silent() if quiet else Lines()
        self._quiet = quiet
        self._chain()

    def with_settings(self, settings: Mapping[str, Value]) -> Project:
        """The same project with further settings; this one stays as it is."""
        return Project({**self._overrides, **settings}, profile=self._profile, quiet=self._quiet)

    @property
    def settings(self) -> Settings:
        """All settings, with their types."""
        return self._chain().settings

    @property
    def home(self) -> Path:
        """The folder with the store, the receipts and the runs."""
        return self._chain().home

    def states(self) -> tuple[StageState, ...]:
        """What the receipts say of each stage: fresh, stale or missing, and why; nothing is started."""
        return tuple(self._chain().look_at_all())

    def run(
        self,
        stages: Sequence[str] = (),
        *,
        first: str | None = None,
        last: str | None = None,
        force: Sequence[str] = (),
    ) -> RunResult:
        """Run the chain, or a part of it; stages that are fresh are reused.

        When all are, nothing is started. Else the run is one of the home's own Prefect server, which is started when
        it is not up.

        Args:
            stages: only these.
            first: start at this stage.
            last: stop after this stage.
            force: run these even when they are fresh.

        Raises:
            AtlasFlowError: as the command's exit codes tell: `UserError` 2, `GateFailed` 3, `Refused` 4,
                `Transient` 5, `Corrupt` 6.
        """
        selected = select(stages, first, last)
        forced = select(force) if force else ()
        if set(forced) - set(selected):
            raise UserError(f"{', '.join(sorted(set(forced) - set(selected)))} is not among the stages to run")
        chain = self._chain(self._reporter, selected)
        if not forced and all_fresh(chain, selected):
            chain.update_latest(selected)
            return RunResult(_fresh_record(chain, self._profile, selected), chain)
        return RunResult(_without_event_loop(lambda: self._run(chain, selected, forced)), chain)

    def runs(self, count: int = 20) -> list[RunResult]:
        """The last runs of the home, newest first, whoever started them."""
        return [RunResult(record, self._chain()) for record in Runs(self.home).latest(count)]

    def compare(self, first: str = "latest", second: str = "latest") -> TrainingComparison:
        """Compare two trainings: settings, curves, and what each class gained, with confidence.

        Args:
            first: `latest`, a run's id, or the first digits of a training's key.
            second: likewise.

        Raises:
            UserError: nothing, or more than one training, has this name.
        """
        from tasks.reports import training_comparison  # noqa: PLC0415 - NumPy

        chain = self._chain()
        chain.look_at_all()
        pair = (training_comparison.find_training(chain, name) for name in (first, second))
        return training_comparison.compare(chain, *pair)

    def _chain(self, reporter: Reporter | None = None, selected: Sequence[str] = ()) -> Chain:
        return open_chain(self._profile, self._overrides, reporter or Silent(), selected)

    def _run(self, chain: Chain, selected: tuple[str, ...], forced: tuple[str, ...]) -> RunRecord:
        place = (chain.world.services, chain.home, chain.settings.prefect)
        server.start(*place)
        use_server(chain)
        from flows.pipeline import pipeline_of  # noqa: PLC0415 - Prefect reads its settings at import
        from flows.requests import RunRequest, parse_request  # noqa: PLC0415
        from tasks.engine.reporter import reporter  # noqa: PLC0415

        values = {"profile": self._profile, "settings": self._overrides, "stages": selected, "force": forced}
        token = reporter.set(self._reporter)
        try:
            with watched(*place, lambda text: self._reporter.line("prefect", text)):
                pipeline_of(chain)(parse_request(RunRequest, values))
        finally:
            reporter.reset(token)
        return next(item for item in Runs(chain.home).latest() if item.id.endswith(f"-{os.getpid()}"))


def _fresh_record(chain: Chain, profile: str, selected: Sequence[str]) -> RunRecord:
    stages = [StageRecord(name, chain.known[name].key, "reused", "unchanged", 0.0) for name in selected]
    return RunRecord("", time.time(), profile, stages)


def _text(value: Value) -> str:
    """A value as the command takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list | tuple) else str(value)


def _without_event_loop(action: Callable[[], Result]) -> Result:
    """Call an action where no event loop runs: in a notebook one does, and Prefect would wait for it for ever."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return action()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, action).result()
