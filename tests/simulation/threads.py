"""Threads of simulated processes: what `infra/leases.py` and the rollouts take from Python's library."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self

from tests.simulation.kernel import Kernel, Process


class Threading:
    """In place of the module `threading`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def Event(self) -> "Event":  # noqa: N802 - the library's name
        return Event(self._kernel)

    def Thread(self, target: Callable[..., Any], args: tuple[Any, ...] = (), daemon: bool = False) -> "Thread":  # noqa: N802
        return Thread(self._kernel, lambda: target(*args))


class Event:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._set = False

    def set(self) -> None:
        self._set = True

    def wait(self, timeout: float | None = None) -> bool:
        return self._kernel.wait(lambda: self._set, timeout)


class Thread:
    def __init__(self, kernel: Kernel, work: Callable[[], object]) -> None:
        self._kernel = kernel
        self._work = work
        self._process: Process | None = None

    def start(self) -> None:
        self._process = thread(self._kernel, self._work)

    def join(self) -> None:
        process = self._process
        assert process is not None
        self._kernel.wait(lambda: process.over)


def thread(kernel: Kernel, work: Callable[[], object]) -> Process:
    """Start a thread of the present process."""
    assert kernel.current is not None
    whole = kernel.current.whole
    return kernel.spawn(whole.machine, f"{whole.name}'", work, parent=whole)


class Future:
    def __init__(self, process: Process) -> None:
        self.process = process

    def result(self) -> Any:
        if self.process.error is not None:
            raise self.process.error
        return self.process.value


class Done(NamedTuple):
    done: set[Future]
    not_done: set[Future]


class Pool:
    """In place of `ThreadPoolExecutor`; it starts all at once."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._futures: list[Future] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._kernel.wait(lambda: all(future.process.over for future in self._futures))

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
        self._futures.append(Future(thread(self._kernel, lambda: work(*arguments))))
        return self._futures[-1]

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        futures = [self.submit(work, item) for item in items]
        self.__exit__()
        return iter([future.result() for future in futures])

    def wait(self, futures: Iterable[Future], return_when: str) -> Done:
        """In place of `concurrent.futures.wait`, until the first has ended."""
        everything = list(futures)
        self._kernel.wait(lambda: any(future.process.over for future in everything))
        done = {future for future in everything if future.process.over}
        return Done(done, set(everything) - done)
