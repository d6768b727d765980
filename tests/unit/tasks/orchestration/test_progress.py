from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tasks.orchestration import progress
from tests.unit.tasks.doubles import Lines


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the Prefect server was told: the artifact as it was made, and each change."""
    told: list[Any] = []
    found = SimpleNamespace(told=told, away=False)

    def create_artifact(artifact: Any) -> Any:
        if found.away:
            raise httpx.ConnectError("away")
        told.append((artifact.data, artifact.description))
        assert (artifact.type, artifact.key) == ("progress", "progress-train")
        return SimpleNamespace(id=uuid4())

    @contextmanager
    def client(*, sync_client: Any) -> Iterator[Any]:
        assert sync_client
        update = lambda _id, artifact: told.append((artifact.data, artifact.description))  # noqa: E731
        yield SimpleNamespace(create_artifact=create_artifact, update_artifact=update)

    monkeypatch.setattr(progress, "get_client", client)
    return found


def test_it_moves_passes_everything_on_and_ends_whole(server: Any) -> None:
    inner = Lines()
    with progress.ProgressArtifact("train", inner, every=0.01) as shown:
        shown.line("train", "ModelArts job a: Pending")
        wait_for(lambda: server.told)
        shown.progress("train", 1, 4, "epochs")
        wait_for(lambda: len(server.told) > 1)
        shown.done("accuracy 0.5")
    assert inner.lines == ["ModelArts job a: Pending"]
    assert inner.moved == [(1, 4, "epochs")]
    assert server.told == [
        (0.0, "ModelArts job a: Pending"),
        (25.0, "1 of 4 epochs; ModelArts job a: Pending"),
        (100.0, "done; accuracy 0.5"),
    ]


def test_the_server_hears_no_more_often_than_it_should_and_always_of_the_end(server: Any) -> None:
    with progress.ProgressArtifact("train", Lines(), every=60) as shown:
        for epoch in range(1000):
            shown.progress("train", epoch, 1000, "epochs")
        shown.done("")
    assert server.told == [(100.0, "done")]


def test_what_had_nothing_to_show_leaves_nothing(server: Any) -> None:
    with progress.ProgressArtifact("train", Lines(), every=60) as shown:
        shown.line("train", "quick")
        shown.done("note")
    assert server.told == []


def test_a_failure_keeps_how_far_it_was_and_says_why(server: Any) -> None:
    with pytest.raises(ValueError, match="no"), progress.ProgressArtifact("train", Lines(), every=60) as shown:
        shown.progress("train", 1, 4, "epochs")
        raise ValueError("no more\nsecond line")
    assert server.told == [(25.0, "1 of 4 epochs; stopped: no more")]


def test_a_server_that_is_away_stops_no_stage(server: Any) -> None:
    server.away = True
    with progress.ProgressArtifact("train", Lines(), every=0.001) as shown:
        shown.progress("train", 1, 2, "epochs")
        shown.done("")
    assert server.told == []


def wait_for(condition: Any) -> None:
    """The thread tells within the second."""
    deadline = monotonic() + 10
    while not condition():
        assert monotonic() < deadline
        sleep(0.005)
