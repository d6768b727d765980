"""Transfers side by side."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from infra.ports.values import Bytes


@contextmanager
def pool_of(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that waits at the end for what runs, and after an error starts nothing more."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run_all(threads: int, jobs: Sequence[tuple[Callable[[], object], int]], progress: Bytes | None = None) -> None:
    """Run jobs side by side; the first error ends it.

    Args:
        threads: how many at once.
        jobs: each with its bytes, which `progress` is told of when it is done.
        progress: called by this thread alone.
    """
    with pool_of(threads) as pool:
        running = {pool.submit(job): size for job, size in jobs}
        for future in as_completed(running):
            future.result()
            if progress is not None:
                progress(running[future])
