"""A Prefect progress artifact that follows a running stage: epochs, bytes, the phase of a remote job."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Self
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.logging import get_logger
from prefect.runtime import flow_run, task_run

from tasks.engine.reporter import amount

if TYPE_CHECKING:
    from types import TracebackType

    from prefect.client.orchestration import SyncPrefectClient

    from tasks.engine.stage import Reporter

EVERY_SECONDS = 2.0
"""The server gets updates at this interval, and one at the end."""


class ProgressArtifact:
    """A reporter that forwards everything and shows the latest of it as an artifact of the current task run.

    A thread updates the server, so that no stage waits for it. A stage without progress that ends before the
    first update leaves no artifact.
    """

    def __init__(self, stage: str, inner: Reporter, every: float = EVERY_SECONDS) -> None:
        self._stage = stage
        self._inner = inner
        self._every = every
        self._lock = threading.Lock()
        self._percent = 0.0
        self._amount = ""
        self._line = ""
        self._sent = ""
        self._id: UUID | None = None
        self._runs = (flow_run.id, task_run.id)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._update_regularly,), daemon=True)

    def line(self, stage: str, text: str) -> None:
        """Forward a line and show it."""
        self._inner.line(stage, text)
        with self._lock:
            self._line = text

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """Forward the progress and show it."""
        self._inner.progress(stage, done, total, unit)
        with self._lock:
            self._percent = min(100.0, 100 * done / total) if total else self._percent
            self._amount = amount(done, total, unit)

    def done(self, text: str) -> None:
        """Show the result, which stays."""
        with self._lock:
            self._amount, self._line = self._amount and "done", text

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with self._lock:
            ended = self._id is not None or bool(self._amount)
            if kind is None:
                self._percent = 100.0
            else:
                self._line = f"stopped: {str(error).splitlines()[0] if str(error) else kind.__name__}"
        if ended:
            with get_client(sync_client=True) as client:
                self._update(client)

    def _update_regularly(self) -> None:
        if self._ended.wait(self._every):
            return
        with get_client(sync_client=True) as client:
            while True:
                self._update(client)
                if self._ended.wait(self._every):
                    return

    def _update(self, client: SyncPrefectClient) -> None:
        with self._lock:
            percent, text = round(self._percent, 1), "; ".join(filter(None, (self._amount, self._line)))
        state = f"{percent} {text}"
        if state == self._sent:
            return
        try:
            if self._id is None:
                self._id = client.create_artifact(self._new(percent, text)).id
            else:
                client.update_artifact(self._id, ArtifactUpdate(data=percent, description=text))
        except httpx.HTTPError as problem:  # the work does not depend on being watched
            get_logger("atlasflow.progress").warning("the progress of %s was not shown: %s", self._stage, problem)
        else:
            self._sent = state

    def _new(self, percent: float, text: str) -> ArtifactCreate:
        flow, task = (UUID(run) if run else None for run in self._runs)
        return ArtifactCreate(
            key=f"progress-{self._stage}",
            type="progress",
            data=percent,
            description=text,
            flow_run_id=flow,
            task_run_id=task,
        )
