"""A progress artifact of Prefect that moves while a stage works: epochs, bytes, the phase of a job elsewhere."""

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
"""The server hears no more often than this, and always of the end."""


class ProgressArtifact:
    """A reporter that passes everything on, and shows the newest of it as an artifact of the current task run.

    A thread of its own tells the server, so that no stage waits for it. A stage that is done sooner than the first
    look, and has no progress to show, leaves no artifact.
    """

    def __init__(self, stage: str, inner: Reporter, every: float = EVERY_SECONDS) -> None:
        self._stage = stage
        self._inner = inner
        self._every = every
        self._lock = threading.Lock()
        self._percent = 0.0
        self._moved = ""
        self._line = ""
        self._seen = ""
        self._id: UUID | None = None
        self._runs = (flow_run.id, task_run.id)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._tell_regularly,), daemon=True)

    def line(self, stage: str, text: str) -> None:
        """One line to read."""
        self._inner.line(stage, text)
        with self._lock:
            self._line = text

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """How far the stage is."""
        self._inner.progress(stage, done, total, unit)
        with self._lock:
            self._percent = min(100.0, 100 * done / total) if total else self._percent
            self._moved = amount(done, total, unit)

    def done(self, text: str) -> None:
        """What came of it, in words that stay."""
        with self._lock:
            self._moved, self._line = self._moved and "done", text

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with self._lock:
            ended = self._id is not None or bool(self._moved)
            if kind is None:
                self._percent = 100.0
            else:
                self._line = f"stopped: {str(error).splitlines()[0] if str(error) else kind.__name__}"
        if ended:
            with get_client(sync_client=True) as client:
                self._tell(client)

    def _tell_regularly(self) -> None:
        if self._ended.wait(self._every):
            return
        with get_client(sync_client=True) as client:
            while True:
                self._tell(client)
                if self._ended.wait(self._every):
                    return

    def _tell(self, client: SyncPrefectClient) -> None:
        with self._lock:
            percent, text = round(self._percent, 1), "; ".join(filter(None, (self._moved, self._line)))
        seen = f"{percent} {text}"
        if seen == self._seen:
            return
        try:
            if self._id is None:
                self._id = client.create_artifact(self._new(percent, text)).id
            else:
                client.update_artifact(self._id, ArtifactUpdate(data=percent, description=text))
        except httpx.HTTPError as problem:  # the work does not depend on being watched
            get_logger("atlasflow.progress").warning("the progress of %s was not shown: %s", self._stage, problem)
        else:
            self._seen = seen

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
