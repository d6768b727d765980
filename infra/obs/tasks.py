"""Upload a folder as the console's page does: a task a file, each of which may fail for a reason of its own."""

from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from enum import StrEnum

from infra.errors import AtlasFlowError
from infra.obs.address import join_key
from infra.obs.parallel import pool_of
from infra.ports.storage import ObjectStore
from infra.ports.values import LocalFile


class State(StrEnum):
    """How far a task is."""

    RUNNING = "running"
    DONE = "done"
    THERE = "there already"
    FAILED = "failed"


@dataclass(frozen=True)
class Task:
    """The upload of one file: its name below the folder, its size in bytes, and why it failed."""

    name: str
    size: int
    state: State
    cause: str = ""


def upload(
    store: ObjectStore,
    prefix: str,
    files: Mapping[str, LocalFile],
    on_change: Callable[[Task], None],
    threads: int,
) -> list[Task]:
    """Send what is missing below a prefix; a file that fails does not end the others.

    Args:
        store: the bucket.
        prefix: of the keys, without slashes at its ends; may be empty.
        files: by their names below the folder.
        on_change: receives each task when it begins and when it ends, from several threads.
        threads: how many run at once.

    Returns:
        The ended tasks in the order of their names. Repeating the upload continues it.
    """

    def run(name: str) -> Task:
        file = files[name]
        on_change(Task(name, file.size, State.RUNNING))
        try:
            key = join_key(prefix, name)
            there = store.head(key)
            same = there is not None and (there.sha256, there.size) == (file.sha256, file.size)
            if not same:
                store.put(key, file)
            ended = Task(name, file.size, State.THERE if same else State.DONE)
        except AtlasFlowError as error:
            ended = Task(
                name, file.size, State.FAILED, f"{error.message}; {error.hint}" if error.hint else error.message
            )
        on_change(ended)
        return ended

    with pool_of(threads) as pool:
        running = [pool.submit(run, name) for name in sorted(files)]
        for future in as_completed(running):
            future.result()
    return [future.result() for future in running]
