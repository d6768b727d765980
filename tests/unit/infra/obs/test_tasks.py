"""A folder as upload tasks."""

from pathlib import Path
from typing import Any

import pytest

from infra.errors import Refused
from infra.obs.tasks import State, Task, upload
from infra.ports.storage import StoredObject
from infra.store.local_files import describe_folder


class Store:
    """A bucket in memory that refuses some keys."""

    def __init__(self) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.refused: set[str] = set()
        self.sent: list[str] = []

    def head(self, key: str) -> StoredObject | None:
        return self.objects.get(key)

    def put(self, key: str, source: Any) -> None:
        if key in self.refused:
            raise Refused(f"{key} is refused", hint="ask")
        self.sent.append(key)
        self.objects[key] = StoredObject(key, source.size, source.sha256)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.txt", "b/c.txt", "d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def run(store: Any, folder: Path, prefix: str = "x") -> tuple[list[Task], list[Task]]:
    told: list[Task] = []
    return upload(store, prefix, describe_folder(folder), told.append, threads=2), told


def test_a_failed_file_does_not_end_the_others_and_again_continues(folder: Path) -> None:
    store = Store()
    store.refused = {"x/b/c.txt"}
    ended, told = run(store, folder)
    assert [(task.name, task.state) for task in ended] == [
        ("a.txt", State.DONE),
        ("b/c.txt", State.FAILED),
        ("d.txt", State.DONE),
    ]
    assert ended[1].cause == "x/b/c.txt is refused; ask"
    assert sorted(task.name for task in told if task.state is State.RUNNING) == ["a.txt", "b/c.txt", "d.txt"]
    store.refused, store.sent = set(), []
    assert [task.state for task in run(store, folder)[0]] == [State.THERE, State.DONE, State.THERE]
    assert store.sent == ["x/b/c.txt"]


def test_other_bytes_are_sent_again(folder: Path) -> None:
    store = Store()
    run(store, folder, "")
    (folder / "a.txt").write_text("A.txt")
    assert [task.state for task in run(store, folder, "")[0]] == [State.DONE, State.THERE, State.THERE]
    assert store.sent[-1] == "a.txt"


def test_what_is_no_error_of_the_store_is_not_a_failed_task(folder: Path) -> None:
    store = Store()
    store.put = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        run(store, folder)
